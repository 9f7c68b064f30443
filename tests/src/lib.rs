//! The lab: hosts in network namespaces, real routers, and the scenarios that run in it.
