//! The control socket of the stand-in as a program: faults, and what was asked.
//!
//! | request | does |
//! |---|---|
//! | `POST /faults` | adds a fault |
//! | `DELETE /faults` | ends all faults |
//! | `GET /requests`, `DELETE /requests` | what was asked so far; forgets it |
//! | `POST /objects` | puts a list of objects, status included |
//! | `DELETE /objects` | takes a list of objects away, each as plural, namespace and name |
//! | `PUT /listening` with `true` or `false` | whether the address answers at all |
//! | `POST /forget` | forgets the history: older watches have expired |

use hyper::Method;
use serde_json::{Value, json};

use super::status::Refusal;
use super::world::World;

pub(super) fn answer(
    world: &mut World,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Value, Refusal> {
    let bad = |error: serde_json::Error| Refusal::bad_request(error.to_string());
    match (method.as_str(), path) {
        ("POST", "/faults") => {
            world.add_fault(serde_json::from_slice(body).map_err(bad)?);
        }
        ("DELETE", "/faults") => world.clear_faults(),
        ("GET", "/requests") => return serde_json::to_value(&world.asked).map_err(bad),
        ("DELETE", "/requests") => world.asked.clear(),
        ("POST", "/objects") => {
            let objects: Vec<Value> = serde_json::from_slice(body).map_err(bad)?;
            objects.into_iter().try_for_each(|object| world.put(object).map(drop))?;
        }
        ("DELETE", "/objects") => {
            let places: Vec<[String; 3]> = serde_json::from_slice(body).map_err(bad)?;
            places.iter().try_for_each(|[plural, namespace, name]| {
                world.take_away(plural, namespace, name)
            })?;
        }
        ("PUT", "/listening") => world.listen(serde_json::from_slice(body).map_err(bad)?),
        ("POST", "/forget") => world.forget_history(),
        _ => return Err(Refusal::no_such_resource()),
    }
    Ok(json!({}))
}
