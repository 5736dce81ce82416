use crate::ports::{BoxError, PortError};

/// Why a recording could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] PortError),
    /// A chunk that is listed has no data: it was removed meanwhile.
    #[error("chunk {0} was removed while it was read")]
    Gone(u16),
    /// A chunk's data is damaged.
    #[error("chunk {index} is damaged: {source}")]
    Corrupt {
        /// The chunk.
        index: u16,
        /// What is wrong.
        source: BoxError,
    },
    /// The object is not there although the catalogue has it.
    #[error("the archived object {0} is not there")]
    NoObject(String),
    /// The object is damaged.
    #[error(transparent)]
    Damaged(#[from] DamagedObject),
}

/// An object that is not what its manifest says.
#[derive(Debug, thiserror::Error)]
#[error("the archived object is damaged: {0}")]
pub struct DamagedObject(pub BoxError);
