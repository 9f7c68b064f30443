//! Netlink: list, diff, apply, watch. The kernel is listed, never assumed.
