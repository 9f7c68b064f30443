use super::*;

fn result() -> AddResult {
    let cidr = |text: &str| text.parse::<Cidr>().unwrap();
    let route = |to: &str, gateway: Option<&str>| Route {
        to: cidr(to),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        priority: None,
        mtu: None,
        advmss: None,
        table: None,
        scope: None,
    };
    let interface = |name: &str, last, sandbox: &str| Interface {
        name: name.into(),
        mac: Some(Mac([2, 0, 0, 0, 0, last])),
        mtu: Some(1500),
        sandbox: sandbox.into(),
    };
    AddResult {
        interfaces: vec![
            interface("twill0", 1, ""),
            interface("twpabc", 2, ""),
            interface("eth0", 3, "/run/netns/pod"),
        ],
        addresses: vec![
            Address {
                address: cidr("10.244.1.5/32"),
                gateway: "169.254.1.1".parse().ok(),
                interface: Some(2),
            },
            Address {
                address: cidr("fd00::5/128"),
                gateway: "fe80::1".parse().ok(),
                interface: Some(2),
            },
        ],
        routes: vec![
            ResultRoute { route: route("169.254.1.1/32", None), on_link: true },
            ResultRoute { route: route("0.0.0.0/0", Some("169.254.1.1")), on_link: false },
            ResultRoute {
                route: Route { priority: Some(7), mtu: Some(1400), ..route("10.0.0.0/8", None) },
                on_link: false,
            },
        ],
        dns: None,
    }
}

/// The form of each version, whole; a change here is a change of what runtimes read.
#[test]
fn each_version_has_its_form() {
    let old = |version: &str| {
        format!(
            r#"{{"cniVersion":"{version}","dns":{{}},"interfaces":[{{"mac":"02:00:00:00:00:01","name":"twill0"}},{{"mac":"02:00:00:00:00:02","name":"twpabc"}},{{"mac":"02:00:00:00:00:03","name":"eth0","sandbox":"/run/netns/pod"}}],"ips":[{{"address":"10.244.1.5/32","gateway":"169.254.1.1","interface":2,"version":"4"}},{{"address":"fd00::5/128","gateway":"fe80::1","interface":2,"version":"6"}}],"routes":[{{"dst":"169.254.1.1/32"}},{{"dst":"0.0.0.0/0","gw":"169.254.1.1"}},{{"dst":"10.0.0.0/8"}}]}}"#
        )
    };
    let json = |version: SpecVersion| result().to_json(version).to_string();
    for version in [SpecVersion::V0_3_0, SpecVersion::V0_3_1, SpecVersion::V0_4_0] {
        assert_eq!(json(version), old(version.as_str()));
    }
    let without_version =
        |text: String| text.replace(r#","version":"4""#, "").replace(r#","version":"6""#, "");
    assert_eq!(json(SpecVersion::V1_0_0), without_version(old("1.0.0")));
    assert_eq!(
        json(SpecVersion::V1_1_0),
        r#"{"cniVersion":"1.1.0","dns":{},"interfaces":[{"mac":"02:00:00:00:00:01","mtu":1500,"name":"twill0"},{"mac":"02:00:00:00:00:02","mtu":1500,"name":"twpabc"},{"mac":"02:00:00:00:00:03","mtu":1500,"name":"eth0","sandbox":"/run/netns/pod"}],"ips":[{"address":"10.244.1.5/32","gateway":"169.254.1.1","interface":2},{"address":"fd00::5/128","gateway":"fe80::1","interface":2}],"routes":[{"dst":"169.254.1.1/32","scope":253},{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"10.0.0.0/8","mtu":1400,"priority":7}]}"#
    );
}

#[test]
fn what_is_written_is_read_back() {
    let written = result().to_json(SpecVersion::V1_1_0);
    let read = AddResult::read(&written).unwrap();
    assert_eq!(read, AddResult { dns: Some(json!({})), ..result() });
    assert_eq!(AddResult::read(&json!({})).unwrap(), AddResult::default());
}

#[test]
fn a_chain_keeps_what_was_before() {
    let merged = result().after(result());
    assert_eq!(merged.interfaces.len(), 6);
    let places: Vec<_> = merged.addresses.iter().map(|address| address.interface).collect();
    assert_eq!(places, [Some(2), Some(2), Some(5), Some(5)]);
}

#[test]
fn bad_results_name_the_field() {
    for (value, field) in [
        (json!({"ips": [{"address": "10.0.0.1"}]}), "ips[0].address"),
        (json!({"ips": 4}), "ips"),
        (json!({"interfaces": [3]}), "interfaces[0]"),
        (json!({"routes": [{"gw": "10.0.0.1"}]}), "routes[0].dst"),
        (json!([]), "expected an object"),
    ] {
        let error = AddResult::read(&value).unwrap_err();
        assert_eq!(error.code(), 6);
        assert!(error.message().contains(field), "{error}");
    }
}
