//! Who is looked at first, of two that may both have something to do.

use std::pin::pin;
use std::task::Poll;

/// The first of two futures that completes: `urgent`, where both do, but where that `was_urgent`
/// the last time, too, `other`. So neither waits for the other for ever, and when nothing was
/// ready, what is urgent is the first that is looked at after the wake-up.
pub(crate) async fn in_turn<T>(
    urgent: impl Future<Output = T>,
    other: impl Future<Output = T>,
    was_urgent: bool,
) -> T {
    let (urgent, mut other) = (pin!(urgent), pin!(other));
    if was_urgent && let Poll::Ready(done) = futures::poll!(other.as_mut()) {
        return done;
    }
    tokio::select! { biased; done = urgent => done, done = other => done }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn nobody_is_first_twice_where_both_are_ready() {
        assert_eq!(in_turn(ready(1), ready(2), false).await, 1);
        assert_eq!(in_turn(ready(1), ready(2), true).await, 2);
        assert_eq!(in_turn(ready(1), pending(), true).await, 1);
        assert_eq!(in_turn(pending(), ready(2), false).await, 2);
    }
}
