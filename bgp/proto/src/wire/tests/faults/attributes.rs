//! Each attribute's value (RFC 7606 section 7, RFC 8092, RFC 9234).

use super::rows;

rows! {
    // ORIGIN (7.1).
    origin_egp: external, "update[l[] l[@4001[01] path hop] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    origin_incomplete: external, "update[l[] l[@4001[02] path hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    origin_3: external, "update[l[] l[@4001[03] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";
    origin_255: external, "update[l[] l[@4001[ff] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";
    origin_of_length_0: external, "update[l[] l[@4001[] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";
    origin_of_length_2: external, "update[l[] l[@4001[0000] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";

    // NEXT_HOP (7.3).
    next_hop_of_length_0: external, "update[l[] l[origin path @4003[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_of_length_3: external, "update[l[] l[origin path @4003[c00002]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_of_length_5: external, "update[l[] l[origin path @4003[c000020100]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_of_length_16: external, "update[l[] l[origin path @4003[fd00 00*13 01]] 10.1.0.0/24]"
        => "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_0: external, "update[l[] l[origin path @4003[00000000]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_loopback: external, "update[l[] l[origin path @4003[7f000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_multicast: external, "update[l[] l[origin path @4003[e0000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_broadcast: external, "update[l[] l[origin path @4003[ffffffff]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    next_hop_link_local: external, "update[l[] l[origin path @4003[a9fe0001]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";

    // MULTI_EXIT_DISC (7.4).
    med: external, "update[l[] l[good @8004[ffffffff]] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    med_of_length_0: external, "update[l[] l[good @8004[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    med_of_length_3: external, "update[l[] l[good @8004[000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    med_of_length_5: external, "update[l[] l[good @8004[0000000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";

    // LOCAL_PREF (7.5).
    local_pref_from_an_internal_peer: internal, "update[l[] l[good pref] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    local_pref_from_an_external_peer: external, "update[l[] l[good pref] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded LOCAL_PREF";
    broken_local_pref_from_an_external_peer: external,
        "update[l[] l[good @c005[00]] 10.1.0.0/24]" => "accept 10.1.0.0/24; discarded LOCAL_PREF";
    local_pref_of_length_0: internal, "update[l[] l[good @4005[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused LOCAL_PREF";
    local_pref_of_length_3: internal, "update[l[] l[good @4005[000064]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused LOCAL_PREF";

    // ATOMIC_AGGREGATE (7.6).
    atomic_aggregate: external, "update[l[] l[good @4006[]] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    atomic_aggregate_with_a_value: external, "update[l[] l[good @4006[00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded ATOMIC_AGGREGATE";
    atomic_aggregate_flagged_optional: external, "update[l[] l[good @c006[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ATOMIC_AGGREGATE";

    // AGGREGATOR (7.7).
    aggregator: external, "update[l[] l[good @c007[0000fde9 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    aggregator_of_length_0: external, "update[l[] l[good @c007[]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AGGREGATOR";
    aggregator_of_length_6: external, "update[l[] l[good @c007[fde9 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AGGREGATOR";
    aggregator_of_length_9: external,
        "update[l[] l[good @c007[0000fde9 c0000201 00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AGGREGATOR";
    aggregator_of_as_0: external, "update[l[] l[good @c007[00000000 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AGGREGATOR";
    two_octet_aggregator: external_two_octet,
        "update[l[] l[good2 @c007[fde9 c0000201]] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    two_octet_aggregator_of_length_8: external_two_octet,
        "update[l[] l[good2 @c007[0000fde9 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AGGREGATOR";
    two_octet_aggregator_of_as_0: external_two_octet,
        "update[l[] l[good2 @c007[0000 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AGGREGATOR";
    aggregator_flagged_well_known: external,
        "update[l[] l[good @4007[0000fde9 c0000201]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AGGREGATOR";

    // COMMUNITIES (7.8).
    communities: external, "update[l[] l[good @c008[fde90001 fde90001]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    communities_flagged_partial: external, "update[l[] l[good @e008[fde90001]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    communities_of_length_0: external, "update[l[] l[good @c008[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused COMMUNITIES";
    communities_of_length_3: external, "update[l[] l[good @c008[fde900]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused COMMUNITIES";
    communities_of_length_6: external, "update[l[] l[good @c008[fde90001 fde9]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused COMMUNITIES";

    // ORIGINATOR_ID (7.9).
    originator_id_from_an_external_peer: external,
        "update[l[] l[good @8009[c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded ORIGINATOR_ID";
    originator_id: internal, "update[l[] l[good pref @8009[c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    originator_id_of_length_3: internal, "update[l[] l[good pref @8009[c00002]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGINATOR_ID";
    originator_id_0: internal, "update[l[] l[good pref @8009[00000000]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGINATOR_ID";

    // CLUSTER_LIST (7.10).
    cluster_list_from_an_external_peer: external,
        "update[l[] l[good @800a[c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded CLUSTER_LIST";
    cluster_list: internal, "update[l[] l[good pref @800a[c0000201 00000000]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    cluster_list_of_length_0: internal, "update[l[] l[good pref @800a[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused CLUSTER_LIST";
    cluster_list_of_length_5: internal, "update[l[] l[good pref @800a[c000020100]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused CLUSTER_LIST";

    // EXTENDED COMMUNITIES (7.14).
    extended_communities: external, "update[l[] l[good @c010[0002fde900000001]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    extended_communities_of_length_0: external, "update[l[] l[good @c010[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused EXTENDED COMMUNITIES";
    extended_communities_of_length_9: external,
        "update[l[] l[good @c010[0002fde900000001 00]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused EXTENDED COMMUNITIES";

    // LARGE_COMMUNITY (RFC 8092 section 5).
    large_communities: external,
        "update[l[] l[good @c020[0000fde9 00000001 00000002]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    large_communities_of_length_0: external, "update[l[] l[good @c020[]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused LARGE_COMMUNITY";
    large_communities_of_length_8: external,
        "update[l[] l[good @c020[0000fde9 00000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused LARGE_COMMUNITY";
    large_communities_of_length_13: external,
        "update[l[] l[good @c020[00*13]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused LARGE_COMMUNITY";

    // ONLY_TO_CUSTOMER (RFC 9234 section 5).
    only_to_customer: external, "update[l[] l[good @c023[0000fde9]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    only_to_customer_of_length_2: external, "update[l[] l[good @c023[fde9]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ONLY_TO_CUSTOMER";
    only_to_customer_of_as_0: external, "update[l[] l[good @c023[00000000]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ONLY_TO_CUSTOMER";
}
