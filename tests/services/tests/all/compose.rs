//! `compose.yaml` runs the same set.

use gosight_services::Service;
use serde_json::Value;

fn compose() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_service_is_there_on_its_port_with_a_health_check() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), Service::ALL.len());
    for service in Service::ALL {
        let container = &services[service.as_str()];
        let port = container["ports"][0].as_str().unwrap();
        assert!(port.starts_with(&format!("127.0.0.1:{}:", service.port())), "{port}");
        assert!(container["healthcheck"]["test"].is_array(), "{}", service.as_str());
        assert!(container["image"].as_str().unwrap().contains(':'), "a version is pinned");
    }
}
