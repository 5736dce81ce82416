//! What goes over the wire: bodies as clients write them, and how they become drafts of the domain.

pub(crate) mod batch;
pub(crate) mod event;
mod json;
pub(crate) mod read;
pub(crate) mod replay;

#[cfg(test)]
mod tests;
