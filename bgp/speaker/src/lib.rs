//! A BGP speaker on tokio, over the pure core of twill-bgp-proto.
