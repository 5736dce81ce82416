use std::collections::BTreeMap;
use std::fs;

use gosight_distributed_tests::Set;
use gosight_e2e::fixture::path;
use s3::creds::Credentials;
use s3::{Bucket, BucketConfiguration, Region};

/// Where the hash of an object is kept.
const HASH: &str = "x-amz-meta-sha256";

/// Makes the bucket, and puts all objects back with what is kept beside them.
pub(super) async fn restore(set: &Set) {
    let objects = fs::read_to_string(path("s3/objects.json")).unwrap();
    let objects: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&objects).unwrap();
    let bucket = make(set).await;
    for (key, headers) in objects {
        let content = fs::read(path("s3").join(&key)).unwrap();
        assert_eq!(content.len().to_string(), headers["content-length"], "{key}");
        let mut put = bucket.put_object_builder(&key, &content).with_content_type(&headers["content-type"]);
        put = put.with_metadata("sha256", &headers[HASH]).unwrap();
        if let Some(encoding) = headers.get("content-encoding") {
            put = put.with_content_encoding(encoding).unwrap();
        }
        let answer = put.execute().await.unwrap();
        assert_eq!(answer.status_code(), 200, "{key}");
    }
}

async fn make(set: &Set) -> Box<Bucket> {
    let setting = |key: &str| set.setting(key);
    let region = Region::Custom {
        region: setting("S3_REGION").to_owned(),
        endpoint: setting("S3_ENDPOINT").to_owned(),
    };
    let keys = (Some(setting("S3_ACCESS_KEY")), Some(setting("S3_SECRET_KEY")));
    let credentials = Credentials::new(keys.0, keys.1, None, None, None).unwrap();
    let name = setting("S3_BUCKET");
    let config = BucketConfiguration::default();
    let made =
        Bucket::create_with_path_style(name, region.clone(), credentials.clone(), config).await.unwrap();
    assert!(made.success(), "{}", made.response_text);
    Bucket::new(name, region, credentials).unwrap().with_path_style()
}
