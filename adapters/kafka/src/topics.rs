//! Makes the topics, and checks those that are there: the servers' own settings are asked, not assumed.

mod check;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gosight_application::ports::{Effect, PortError};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

pub use check::TopicFault;

use check::Found;

use crate::ADAPTER;
use crate::client;
use crate::config::{Cleanup, KafkaConfig, Topic};
use crate::error::{Failure, read_error, settings_error};

/// How long until the cluster is asked again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What [`ensure_topics`] did and saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ensured {
    /// Topics that were made.
    pub created: Vec<String>,
    /// What is not as it should be and loses nothing; also reported in the log.
    pub warnings: Vec<TopicFault>,
}

/// Why the topics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// Topics have settings with which records can be lost or refused, or that contradict the configuration.
    #[error("topics are not as they must be: {}", list(.0))]
    Unsafe(Vec<TopicFault>),
    /// The cluster refused to make a topic.
    #[error("the topic {topic} could not be made: {reason}")]
    NotMade {
        /// Its name.
        topic: String,
        /// What the cluster said.
        reason: String,
    },
    /// The cluster could not be asked.
    #[error(transparent)]
    Port(#[from] PortError),
}

fn list(faults: &[TopicFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Makes the configured topics that are missing, and checks the settings of the others. Safe to call again, and from
/// several processes at once.
///
/// # Errors
/// [`TopicError::Unsafe`] names every setting that has to be changed, with the reason; a topic of that kind is better
/// not written to.
pub async fn ensure_topics(config: &KafkaConfig) -> Result<Ensured, TopicError> {
    let admin = Admin::new(config)?;
    let topics = config.all_topics();
    let present = admin.partitions_of_topics().await?;
    let missing: Vec<&Topic> = topics.iter().filter(|topic| !present.contains_key(&topic.name)).collect();
    let created = admin.create(&missing, config.max_message_bytes()).await?;
    let known: Vec<&Topic> = topics.iter().filter(|topic| !created.contains(&topic.name)).collect();
    let mut faults = Vec::new();
    let present = admin.wait_for_partitions(&known, present).await?;
    let mut settings = admin.settings(&known).await?;
    for topic in known {
        let found = Found {
            partitions: present.get(&topic.name).cloned().unwrap_or_default(),
            settings: settings.remove(&topic.name).unwrap_or_default(),
        };
        faults.extend(found.faults(topic, config.max_message_bytes()));
    }
    faults.extend(topics.iter().filter(|topic| created.contains(&topic.name)).filter_map(check::single_copy));
    report(created, faults)
}

fn report(created: Vec<String>, faults: Vec<TopicFault>) -> Result<Ensured, TopicError> {
    let (errors, warnings): (Vec<_>, Vec<_>) = faults.into_iter().partition(|fault| fault.is_error);
    for warning in &warnings {
        tracing::warn!(
            topic = warning.topic,
            setting = warning.setting,
            reason = warning.reason,
            "unsafe topic setting"
        );
    }
    for topic in &created {
        tracing::info!(topic, "topic created");
    }
    if errors.is_empty() { Ok(Ensured { created, warnings }) } else { Err(TopicError::Unsafe(errors)) }
}

/// How many copies each partition of a topic has.
type Copies = Vec<usize>;

struct Admin {
    client: AdminClient<client::LoggingContext>,
    /// Asks for what is there: unlike the client for administration it says why it has no answer.
    metadata: Arc<BaseConsumer<client::LoggingContext>>,
    timeout: Duration,
}

impl Admin {
    fn new(config: &KafkaConfig) -> Result<Self, PortError> {
        let client =
            AdminClient::from_config_and_context(&client::common(config), client::LoggingContext::default())
                .map_err(|error| settings_error(&error))?;
        let reader = client::reader(config, &config.client_id);
        let metadata = BaseConsumer::from_config_and_context(&reader, client::LoggingContext::default())
            .map_err(|error| settings_error(&error))?;
        Ok(Self { client, metadata: Arc::new(metadata), timeout: config.request_timeout })
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// The topics of the cluster.
    async fn partitions_of_topics(&self) -> Result<HashMap<String, Copies>, PortError> {
        let (consumer, timeout) = (self.metadata.clone(), self.timeout);
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = consumer.fetch_metadata(None, timeout);
            // What it has to say waits for being taken.
            while consumer.poll(client::LAST_WORDS).is_some() {}
            metadata.map_err(|error| consumer.context().last_error.explain(error))
        });
        let metadata = asked.await.map_err(|error| Failure::from(error).transient())??;
        let copies = |topic: &rdkafka::metadata::MetadataTopic| {
            topic.partitions().iter().map(|partition| partition.replicas().len()).collect()
        };
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), copies(topic))).collect())
    }

    /// The topics of the cluster, once it tells the partitions of all `known` ones: what another process has made just
    /// now has a name before it has partitions.
    async fn wait_for_partitions(
        &self,
        known: &[&Topic],
        mut present: HashMap<String, Copies>,
    ) -> Result<HashMap<String, Copies>, PortError> {
        let deadline = Instant::now() + self.timeout;
        while let Some(topic) = known.iter().find(|topic| present.get(&topic.name).is_none_or(Vec::is_empty))
        {
            if Instant::now() > deadline {
                let text = format!("the topic {} is there, but has no partitions yet", topic.name);
                return Err(PortError::transient(ADAPTER, text));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            present = self.partitions_of_topics().await?;
        }
        Ok(present)
    }

    /// Makes `topics`, and gives the names of those that were not there.
    async fn create(&self, topics: &[&Topic], max_message_bytes: u64) -> Result<Vec<String>, TopicError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let settings: Vec<Vec<(&str, String)>> =
            topics.iter().map(|topic| settings_of(topic, max_message_bytes)).collect();
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(&settings)
            .map(|(topic, settings)| {
                let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
                let copies = TopicReplication::Fixed(topic.replication_factor.into());
                let new = NewTopic::new(&topic.name, partitions, copies);
                settings.iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let results = self.client.create_topics(&new, &self.options()).await.map_err(unknown_effect)?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(topic) => created.push(topic),
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicError::NotMade { topic, reason: code.to_string() }),
            }
        }
        Ok(created)
    }

    async fn settings(&self, topics: &[&Topic]) -> Result<HashMap<String, check::Settings>, PortError> {
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        let asked: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
        let answers = self.client.describe_configs(&asked, &self.options()).await.map_err(read_error)?;
        let mut settings = HashMap::new();
        for answer in answers {
            let ConfigResource { specifier, entries } =
                answer.map_err(|code| read_error(KafkaError::AdminOp(code)))?;
            if let OwnedResourceSpecifier::Topic(topic) = specifier {
                let entries = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                settings.insert(topic, entries.collect());
            }
        }
        Ok(settings)
    }
}

fn settings_of(topic: &Topic, max_message_bytes: u64) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("cleanup.policy", topic.cleanup.as_str().to_owned()),
        ("max.message.bytes", max_message_bytes.to_string()),
        ("min.insync.replicas", topic.min_in_sync().to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ];
    if topic.cleanup == Cleanup::Delete {
        settings.push(("retention.ms", topic.retention.as_millis().to_string()));
    }
    settings
}

/// Making a topic twice is found out by the next attempt.
fn unknown_effect(error: KafkaError) -> PortError {
    match read_error(error) {
        PortError::Transient { adapter, retry_after, source, .. } => {
            PortError::Transient { adapter, effect: Effect::Unknown, retry_after, source }
        }
        other => other,
    }
}
