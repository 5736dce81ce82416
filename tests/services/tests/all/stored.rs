//! Writing something into each kind of server, and reading it again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use gosight_services::{S3Access, Service};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use s3::creds::Credentials;
use s3::{Bucket, BucketConfiguration, Region};

const VALUE: &str = "kept";
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the value, and waits until the server has acknowledged it.
pub(crate) async fn write(service: Service, address: SocketAddr) {
    match service {
        Service::Redis => assert_eq!(redis(address, "SET key kept"), "+OK\r\n"),
        Service::Postgres => {
            postgres(address, "CREATE TABLE t (value text); INSERT INTO t VALUES ('kept')");
        }
        Service::ClickHouse => {
            http(address, "CREATE TABLE t (value String) ENGINE = MergeTree ORDER BY value");
            http(address, "INSERT INTO t VALUES ('kept')");
        }
        Service::Kafka => write_to_kafka(address).await,
        Service::S3 => write_to_s3(address).await,
    }
}

/// Reads the value, and fails when it is gone.
pub(crate) async fn check(service: Service, address: SocketAddr) {
    let found = match service {
        Service::Redis => redis(address, "GET key").trim_start_matches("$4").trim().to_owned(),
        Service::Postgres => postgres(address, "SELECT value FROM t"),
        Service::ClickHouse => http(address, "SELECT value FROM t").trim().to_owned(),
        Service::Kafka => read_from_kafka(address),
        Service::S3 => {
            let object = bucket(address).get_object("key").await.unwrap();
            object.as_str().unwrap().to_owned()
        }
    };
    assert_eq!(found, VALUE, "{}", service.as_str());
}

pub(crate) fn redis(address: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{command}\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.strip_suffix("+OK\r\n").unwrap().to_owned()
}

fn postgres(address: SocketAddr, statements: &str) -> String {
    let url = Service::Postgres.url(address);
    let output = Command::new("psql").args([&url, "-qtA", "-c", statements]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn http(address: SocketAddr, query: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = query.len();
    write!(
        stream,
        "POST / HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{query}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.split(' ').nth(1) == Some("200"), "{query}: {answer}");
    body.to_owned()
}

fn kafka(address: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string());
    config
}

async fn write_to_kafka(address: SocketAddr) {
    let admin: AdminClient<DefaultClientContext> = kafka(address).create().unwrap();
    let topic = NewTopic::new("t", 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    admin.create_topics([&topic], &options).await.unwrap().remove(0).unwrap();
    let producer: FutureProducer = kafka(address).set("acks", "all").create().unwrap();
    producer.send(FutureRecord::to("t").key("key").payload(VALUE), PATIENCE).await.unwrap();
}

fn read_from_kafka(address: SocketAddr) -> String {
    let consumer: BaseConsumer = kafka(address).set("group.id", "check").create().unwrap();
    let mut position = TopicPartitionList::new();
    position.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&position).unwrap();
    let message = std::iter::repeat_with(|| consumer.poll(PATIENCE).unwrap())
        // A broker that has just started may have to be asked again.
        .find_map(Result::ok)
        .unwrap();
    String::from_utf8(message.payload().unwrap().to_vec()).unwrap()
}

fn s3_connection(address: SocketAddr) -> (Region, Credentials) {
    let S3Access { endpoint, region, access_key, secret_key } = S3Access::at(address);
    let region = Region::Custom { region: region.to_owned(), endpoint };
    (region, Credentials::new(Some(access_key), Some(secret_key), None, None, None).unwrap())
}

fn bucket(address: SocketAddr) -> Box<Bucket> {
    let (region, credentials) = s3_connection(address);
    Bucket::new("bucket", region, credentials).unwrap().with_path_style()
}

async fn write_to_s3(address: SocketAddr) {
    let (region, credentials) = s3_connection(address);
    let private = BucketConfiguration::default();
    Bucket::create_with_path_style("bucket", region, credentials, private).await.unwrap();
    bucket(address).put_object("key", VALUE.as_bytes()).await.unwrap();
}
