//! One request, from its head to its body.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response};
use serde_json::Value;

use super::auth::{Tokens, User};
use super::control;
use super::fault::Effect;
use super::patch::Format;
use super::record::Asked;
use super::request::{Parameters, Target, Verb, target};
use super::status::Refusal;
use super::watching::{Next, Watch};
use super::world::{World, Write};

/// The real server's limit.
const BODY: usize = 3 << 20;
/// Of the control socket.
const STEERING: usize = 256 << 20;

type Lines = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Broken>>>>;
/// An answer's body: whole, or line by line.
pub(super) type Body = Either<Full<Bytes>, StreamBody<Lines>>;

/// A connection that breaks on purpose.
#[derive(Debug, thiserror::Error)]
#[error("broken off on purpose")]
pub(super) struct Broken;

/// What a connection needs to answer.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) tokens: Rc<RefCell<Tokens>>,
}

/// What becomes of a request.
enum Outcome {
    Answer(u16, Bytes),
    /// Its body breaks off.
    Torn(Bytes),
    Watch(Box<Watch>),
    Hang,
    Drop,
}

impl Server {
    /// Answers; an error breaks the connection.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
        let path = request.uri().path().to_owned();
        if let Some(answer) = self.plain(&path) {
            return Ok(answer);
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        match self.ask(request, &path, &query).await {
            Ok(Outcome::Answer(code, body)) => Ok(whole(code, body)),
            Ok(Outcome::Torn(body)) => {
                let lines = [Ok(Frame::data(body)), Err(Broken)];
                Ok(streamed(Box::pin(futures::stream::iter(lines))))
            }
            Ok(Outcome::Watch(watch)) => Ok(streamed(lines(*watch))),
            Ok(Outcome::Hang) => std::future::pending().await,
            Ok(Outcome::Drop) => Err(Broken),
            Err(refusal) => Ok(refused(&refusal)),
        }
    }

    /// The same over the control socket, which no fault befalls.
    pub(super) async fn control(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        // Whoever steers puts whole clusters in place.
        let answer = match read(request, STEERING).await {
            Ok(body) => control::answer(&mut self.world.borrow_mut(), &method, &path, &body),
            Err(refusal) => Err(refusal),
        };
        Ok(match answer {
            Ok(value) => whole(200, value.to_string().into()),
            Err(refusal) => refused(&refusal),
        })
    }

    /// Health and discovery, which everybody may read.
    fn plain(&self, path: &str) -> Option<Response<Body>> {
        if matches!(path, "/healthz" | "/livez" | "/readyz") {
            return Some(whole(200, "ok".into()));
        }
        let discovered = self.world.borrow().registry.discover(path)?;
        Some(whole(200, discovered.to_string().into()))
    }

    async fn ask(
        &self,
        request: Request<Incoming>,
        path: &str,
        query: &str,
    ) -> Result<Outcome, Refusal> {
        let header = request.headers().get(AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let user = self.tokens.borrow().user(header.as_deref())?;
        let parameters = Parameters::read(query)?;
        let target = target(&self.world.borrow().registry, request.method(), path, &parameters)?;
        let creates = self.creates(&target, &request);
        let outcome = match creates
            .as_ref()
            .map_or(Ok(()), |creates| self.world.borrow().authorise(&user, creates))
        {
            Ok(()) => self.decide(&user, &target, &parameters, request).await,
            Err(refusal) => Err(refusal),
        };
        let code = match &outcome {
            Ok(Outcome::Answer(code, _)) => *code,
            Ok(Outcome::Watch(_)) => 200,
            Ok(_) => 0,
            Err(refusal) => refusal.code,
        };
        let mut world = self.world.borrow_mut();
        for target in creates.into_iter().chain([target]) {
            world.asked.push(Asked {
                user: user.name.clone(),
                verb: target.verb.as_str().to_owned(),
                group: target.kind.group.clone(),
                resource: target.resource(),
                namespace: target.namespace.unwrap_or_default(),
                name: target.named.unwrap_or_default(),
                code,
                query: query.to_owned(),
            });
        }
        drop(world);
        outcome
    }

    /// An apply of what is not there yet: for that the right to create is needed as well.
    fn creates(&self, target: &Target, request: &Request<Incoming>) -> Option<Target> {
        let media = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        let applies = target.verb == Verb::Patch && Format::of(media).ok()? == Format::Apply;
        let missing = self.world.borrow().find(&target.kind, &super::world::key(target)).is_err();
        (applies && missing && !target.status)
            .then(|| Target { verb: Verb::Create, ..target.clone() })
    }

    async fn decide(
        &self,
        user: &User,
        target: &Target,
        parameters: &Parameters,
        request: Request<Incoming>,
    ) -> Result<Outcome, Refusal> {
        self.world.borrow().authorise(user, target)?;
        let watching = target.verb == Verb::Watch;
        let here = |effect: &Effect| match effect {
            Effect::Status { .. } | Effect::Delay { .. } | Effect::Drop | Effect::Hang => true,
            Effect::Partial { .. } => target.verb == Verb::List,
            // The watch itself acts them out.
            Effect::Gone | Effect::Silent | Effect::Close => false,
        };
        // In a statement of its own: the world is not held while something is waited for.
        let fault = self.world.borrow_mut().faults.strike(&user.name, target, here);
        let mut most = None;
        match fault {
            Some(Effect::Status { code, retry_after }) => {
                return Err(Refusal::fault(code, retry_after));
            }
            Some(Effect::Delay { millis }) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            Some(Effect::Drop) => return Ok(Outcome::Drop),
            Some(Effect::Hang) => return Ok(Outcome::Hang),
            Some(Effect::Partial { items }) => most = Some(items),
            Some(Effect::Gone | Effect::Silent | Effect::Close) | None => {}
        }
        if watching {
            let (user, target, parameters) =
                (user.name.clone(), target.clone(), parameters.clone());
            let watch = Watch::start(&self.world, user, target, parameters)?;
            return Ok(Outcome::Watch(Box::new(watch)));
        }
        let media = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.unwrap_or("application/json").to_owned();
        let body = read(request, BODY).await?;
        let mut world = self.world.borrow_mut();
        match target.verb {
            Verb::List => {
                let body = world.list(target, parameters, most)?;
                Ok(if most.is_some() { Outcome::Torn(body) } else { Outcome::Answer(200, body) })
            }
            _ => act(&mut world, target, parameters, &media, &body),
        }
    }
}

/// Everything but lists and watches.
fn act(
    world: &mut World,
    target: &Target,
    parameters: &Parameters,
    media: &str,
    body: &[u8],
) -> Result<Outcome, Refusal> {
    if media.contains("protobuf") {
        return Err(Refusal::unsupported_media_type(media));
    }
    let namespace = target.namespace.as_deref();
    match target.verb {
        Verb::Create => {
            let write = Write::of(parse(body)?);
            let stored = world.create(&target.kind, namespace, write, parameters.dry_run)?;
            Ok(Outcome::Answer(201, stored.text().clone()))
        }
        Verb::Update => {
            let stored = world.update(target, parse(body)?, parameters)?;
            Ok(Outcome::Answer(200, stored.text().clone()))
        }
        Verb::Patch => {
            let (stored, created) =
                world.patch(target, Format::of(media)?, parse(body)?, parameters)?;
            Ok(Outcome::Answer(if created { 201 } else { 200 }, stored.text().clone()))
        }
        Verb::Delete => {
            let options = if body.is_empty() { Value::Null } else { parse(body)? };
            Ok(Outcome::Answer(200, world.delete(target, &options)?.to_string().into()))
        }
        Verb::Get | Verb::List | Verb::Watch => {
            let stored = world.find(&target.kind, &super::world::key(target))?;
            Ok(Outcome::Answer(200, stored.text().clone()))
        }
    }
}

/// JSON, or the YAML of an apply patch.
fn parse(body: &[u8]) -> Result<Value, Refusal> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Refusal::bad_request("the body is neither JSON nor YAML"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| Refusal::bad_request(format!("the body cannot be read: {error}")))
}

async fn read(request: Request<Incoming>, limit: usize) -> Result<Bytes, Refusal> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(Refusal::too_large(limit)),
    }
}

fn lines(watch: Watch) -> Lines {
    Box::pin(futures::stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        match watch.next().await {
            Next::Lines(lines) => Some((Ok(Frame::data(lines)), Some(watch))),
            Next::End => None,
            Next::Break => Some((Err(Broken), None)),
        }
    }))
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = whole(refusal.code, refusal.object().to_string().into());
    if let Some(seconds) = refusal.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn whole(code: u16, body: Bytes) -> Response<Body> {
    respond(code, Either::Left(Full::new(body)))
}

fn streamed(lines: Lines) -> Response<Body> {
    respond(200, Either::Right(StreamBody::new(lines)))
}

fn respond(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
