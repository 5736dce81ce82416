use gosight_application::logs;

/// What a process does of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes events and replay chunks.
    Ingestor,
    /// Processes events.
    EventProcessor,
    /// Processes replay chunks.
    ReplayProcessor,
    /// Answers questions.
    Api,
    /// All of that, in one process.
    Everything,
}

/// A log, and the group of those that process it.
pub(crate) type ProcessedLog = (&'static str, &'static str);

impl Role {
    /// Name of the binary.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingestor => "ingestor",
            Self::EventProcessor => "event-processor",
            Self::ReplayProcessor => "replay-processor",
            Self::Api => "api",
            Self::Everything => "gosight",
        }
    }

    /// What it does, for `--help`.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Ingestor => "Take events and replay chunks over HTTP and write them to Kafka",
            Self::EventProcessor => "Read events from Kafka and store them in ClickHouse",
            Self::ReplayProcessor => "Read replay chunks from Kafka and store them in ClickHouse",
            Self::Api => "Answer questions over HTTP from ClickHouse",
            Self::Everything => "Take, process and answer, in one process",
        }
    }

    /// Whether other processes do the rest of the work.
    pub const fn is_shared(self) -> bool {
        !matches!(self, Self::Everything)
    }

    pub(crate) const fn takes(self) -> bool {
        matches!(self, Self::Ingestor | Self::Everything)
    }

    pub(crate) fn logs(self) -> Vec<ProcessedLog> {
        let is_its = |(name, _): &ProcessedLog| match self {
            Self::EventProcessor => *name == logs::EVENTS,
            Self::ReplayProcessor => *name == logs::REPLAY,
            Self::Everything => true,
            Self::Ingestor | Self::Api => false,
        };
        logs::PROCESSED.into_iter().filter(is_its).collect()
    }

    pub(crate) fn archives(self) -> bool {
        self.logs().iter().any(|(name, _)| *name == logs::REPLAY)
    }

    pub(crate) const fn enriches(self) -> bool {
        matches!(self, Self::EventProcessor | Self::Everything)
    }

    pub(crate) const fn answers(self) -> bool {
        matches!(self, Self::Api | Self::Everything)
    }
}
