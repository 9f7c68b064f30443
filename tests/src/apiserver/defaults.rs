//! What the real server fills in, of the fields that anybody here reads.

use serde_json::{Value, json};

use super::resource::Kind;

/// Fills in a new object.
pub(super) fn fill(kind: &Kind, object: &mut Value, number: u64) {
    match kind.kind.as_str() {
        "Node" => node(object),
        "Service" => service(object, number),
        "Namespace" => object["status"] = json!({"phase": "Active"}),
        "Secret" => secret(object),
        "CustomResourceDefinition" => definition(object),
        _ => {}
    }
}

/// The same for an object that is changed: what is only ever written does not stay.
pub(super) fn change(kind: &Kind, object: &mut Value) {
    if kind.kind == "Secret" {
        secret(object);
    }
}

/// One pod CIDR or several: each field follows the other.
fn node(object: &mut Value) {
    let spec = &mut object["spec"];
    if spec.is_null() {
        *spec = json!({});
    }
    match (&spec["podCIDR"], &spec["podCIDRs"]) {
        (Value::String(one), Value::Null) => spec["podCIDRs"] = json!([one]),
        (Value::Null, Value::Array(list)) if !list.is_empty() => {
            spec["podCIDR"] = list[0].clone();
        }
        _ => {}
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
}

fn service(object: &mut Value, number: u64) {
    let Some(spec) =
        object.as_object_mut().map(|object| object.entry("spec").or_insert_with(|| json!({})))
    else {
        return;
    };
    let Some(spec) = spec.as_object_mut() else { return };
    let kind = spec.entry("type").or_insert_with(|| "ClusterIP".into()).clone();
    if kind == "ExternalName" {
        return;
    }
    let address = spec.entry("clusterIP").or_insert_with(|| {
        // Of the default service range, 10.96.0.0/12.
        let [_, b, c, d] = (u32::try_from(number % (1 << 20)).unwrap_or_default()).to_be_bytes();
        format!("10.{}.{c}.{d}", 96 + b).into()
    });
    let addresses = json!([address]);
    let family = if address.as_str().is_some_and(|a| a.contains(':')) { "IPv6" } else { "IPv4" };
    spec.entry("clusterIPs").or_insert(addresses);
    spec.entry("ipFamilies").or_insert_with(|| json!([family]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
    spec.entry("internalTrafficPolicy").or_insert_with(|| "Cluster".into());
    spec.entry("sessionAffinity").or_insert_with(|| "None".into());
    if kind != "ClusterIP" {
        spec.entry("externalTrafficPolicy").or_insert_with(|| "Cluster".into());
    }
    object["status"] = json!({"loadBalancer": {}});
}

/// `stringData` is only ever written.
fn secret(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.entry("type").or_insert_with(|| "Opaque".into());
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    for (key, text) in texts {
        data[key] = base64(text.as_str().unwrap_or_default().as_bytes()).into();
    }
}

/// RFC 4648, section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0_u8; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let six = (word >> (18 - 6 * place)) & 63;
            let letter = LETTERS.get(six as usize).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// Served at once: there is no controller to wait for.
fn definition(object: &mut Value) {
    let names = object["spec"]["names"].clone();
    let versions = object["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<Value> = versions
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": "",
               "lastTransitionTime": super::admit::now()})
    };
    object["status"] = json!({
        "acceptedNames": names, "storedVersions": stored,
        "conditions": [condition("NamesAccepted", "NoConflicts"),
                       condition("Established", "InitialNamesAccepted")],
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(super::base64(plain.as_bytes()), coded);
        }
    }
}
