//! The interop matrix: our agent against the BGP speakers that Debian packages.
//!
//! ```text
//! node-b ── node-a ── partner      all on 10.0.0.0/24 and fd00::/64
//! 10.0.0.3  10.0.0.1  10.0.0.2
//! ```
//!
//! In goes a real daemon in a host of its own, told by its own configuration and commands. Out
//! comes, for each [`matrix::Cell`], that both sides agree: what we sent, by the partner's own
//! words, and what it sent, by `twill` and the kernel's routes. What a partner cannot do is quoted
//! from it. The outcome is docs/reference/interop.md; `TWILL_WRITE_INTEROP=1` writes it anew, and
//! without that a run fails where the page says yes and the run says no.

mod guards;
mod matrix;
mod openings;
mod partner;
mod restarts;
mod routes;
mod stage;

/// One test for each partner and group of cells.
macro_rules! scenarios {
    ($($router:ident),+) => {$(
        mod $router {
            use anyhow::Result;
            use twill_tests::skip_unless;

            use crate::partner::$router::start;

            #[test]
            fn routes_travel_and_change() -> Result<()> {
                skip_unless!(lab, $router);
                crate::routes::run(concat!("interop-routes-", stringify!($router)), start)
            }

            #[test]
            fn whoever_opens_one_internal_session_stands() -> Result<()> {
                skip_unless!(lab, $router);
                crate::openings::run(concat!("interop-openings-", stringify!($router)), start)
            }

            #[test]
            fn only_the_right_password_and_distance_get_in() -> Result<()> {
                skip_unless!(lab, $router);
                crate::guards::run(concat!("interop-guards-", stringify!($router)), start)
            }

            #[test]
            fn restarts_of_either_side_leave_routes_in_place() -> Result<()> {
                skip_unless!(lab, $router);
                crate::restarts::run(concat!("interop-restarts-", stringify!($router)), start)
            }
        }
    )+};
}

scenarios!(frr, bird, gobgp, openbgpd, exabgp);
