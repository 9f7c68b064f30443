//! The fields of an UPDATE, its prefixes, and what holds for every attribute (RFC 4271 section
//! 6.3, RFC 7606 sections 3 to 5).

use super::rows;

rows! {
    // What is right.
    one_route: external, "update[l[] l[good] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    withdrawals_alone: external, "update[l[10.1.0.0/24 10.2.0.0/16] l[]]" =>
        "withdraw 10.1.0.0/24 10.2.0.0/16";
    withdrawals_and_routes: external, "update[l[10.2.0.0/16] l[good] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; withdraw 10.2.0.0/16";
    default_route: external, "update[l[] l[good] 00]" => "accept 0.0.0.0/0";
    host_bits_are_cleared: external, "update[l[] l[good] 17 0a01ff]" => "accept 10.1.254.0/23";
    attributes_without_routes: external, "update[l[] l[good]]" => "nothing";
    end_of_rib_of_ipv4: external, "update[l[] l[]]" => "end of ipv4";
    end_of_rib_of_a_family_not_agreed_on: external_ipv6_only, "update[l[] l[]]" => "nothing";
    routes_of_a_family_not_agreed_on: external_ipv6_only,
        "update[l[10.2.0.0/16] l[good] 10.1.0.0/24]" => "nothing";

    // Lengths of the fields.
    withdrawn_beyond_the_message: external, "update[0005 l[]]" => "reset 3/1";
    withdrawn_up_to_the_end: external, "update[0002 0000]" => "reset 3/1";
    withdrawn_leaves_one_octet: external, "update[0001 00 00]" => "reset 3/1";
    withdrawn_leaves_half_a_length: external, "update[0002 0000 00]" => "reset 3/1";
    attributes_beyond_the_message: external, "update[l[] 0001]" => "reset 3/1";
    attributes_far_beyond_the_message: external, "update[l[] ffff good]" => "reset 3/1";

    // Prefixes of the two IPv4 fields.
    prefix_length_33: external, "update[l[] l[good] 21 0a01000001]" => "reset 3/10";
    prefix_length_255: external, "update[l[] l[good] ff 0a01]" => "reset 3/10";
    prefix_beyond_the_message: external, "update[l[] l[good] 18 0a01]" => "reset 3/10";
    prefix_length_alone: external, "update[l[] l[good] 10.2.0.0/16 18]" => "reset 3/10";
    second_prefix_is_broken: external, "update[l[] l[good] 10.1.0.0/24 21 00*5]" => "reset 3/10";
    withdrawn_prefix_length_33: external, "update[l[21 0a01000001] l[]]" => "reset 3/10";
    withdrawn_prefix_beyond_its_field: external, "update[l[18 0a01] l[]]" => "reset 3/10";
    broken_prefix_of_a_family_not_agreed_on: external_ipv6_only,
        "update[l[] l[good] 21 0a01000001]" => "reset 3/10";
    broken_prefix_and_broken_attribute: external,
        "update[l[] l[@4001[09] path hop] 21 0a01000001]" => "reset 3/10";

    // Mandatory attributes.
    no_attributes_at_all: external, "update[l[] l[] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN; refused AS_PATH; refused NEXT_HOP";
    no_origin: external, "update[l[] l[path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";
    no_as_path: external, "update[l[] l[origin hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    no_next_hop: external, "update[l[] l[origin path] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    no_next_hop_but_withdrawals: external,
        "update[l[10.2.0.0/16] l[origin path] 10.1.0.0/24]" =>
        "withdraw 10.2.0.0/16 10.1.0.0/24; refused NEXT_HOP";
    no_local_pref_from_an_internal_peer: internal, "update[l[] l[good] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    nothing_mandatory_for_withdrawals: external, "update[l[10.1.0.0/24] l[@8004[00000001]]]" =>
        "withdraw 10.1.0.0/24";

    // Attribute headers (section 4).
    attribute_of_one_octet: external, "update[l[] l[good 40] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused attribute 0";
    attribute_of_two_octets: external, "update[l[] l[good 80 04] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    attribute_with_half_an_extended_length: external,
        "update[l[] l[good 90 04 00] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    attribute_beyond_the_field: external, "update[l[] l[good 80 04 05 00000001] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    unknown_attribute_beyond_the_field: external,
        "update[l[] l[good c0 63 ff 00] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused attribute 99";
    first_attribute_beyond_the_field: external, "update[l[] l[40 01 09 00] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN; refused AS_PATH; refused NEXT_HOP";
    attribute_beyond_the_field_without_routes: external,
        "update[l[] l[good 80 04 05 00000001]]" => "reset 3/5";
    extended_length_of_a_short_value: external,
        "update[l[] l[@5001[00] path hop] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    attributes_in_descending_order: external, "update[l[] l[hop path origin] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";

    // Flags (section 3 c); the low four bits mean nothing, nor does Partial here.
    origin_flagged_optional: external, "update[l[] l[@c001[00] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";
    origin_flagged_not_transitive: external, "update[l[] l[@0001[00] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN";
    origin_flagged_partial: external, "update[l[] l[@6001[00] path hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    origin_with_low_four_flag_bits: external, "update[l[] l[@4f01[00] path hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    as_path_flagged_optional: external,
        "update[l[] l[origin @c002[02 01 0000fde9] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    next_hop_flagged_optional: external,
        "update[l[] l[origin path @c003[c0000201]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused NEXT_HOP";
    med_flagged_well_known: external, "update[l[] l[good @4004[00000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    med_flagged_transitive: external, "update[l[] l[good @c004[00000001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused MULTI_EXIT_DISC";
    local_pref_flagged_optional: internal, "update[l[] l[good @c005[00000064]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused LOCAL_PREF";
    communities_flagged_not_transitive: external,
        "update[l[] l[good @8008[fde90001]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused COMMUNITIES";
    wrong_flags_without_routes: external, "update[l[10.1.0.0/24] l[@c001[00]]]" => "reset 3/4";

    // Attributes that come twice (section 3 g): the first counts.
    origin_twice: external, "update[l[] l[good @4001[02]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded ORIGIN";
    origin_twice_with_the_second_broken: external, "update[l[] l[good @4001[09]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded ORIGIN";
    origin_twice_with_the_first_broken: external,
        "update[l[] l[@4001[09] origin path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN; discarded ORIGIN";
    communities_twice: external,
        "update[l[] l[good @c008[fde90001] @c008[fde90002]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded COMMUNITIES";
    unknown_attribute_twice: external, "update[l[] l[good @c063[00] @c063[01]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded attribute 99";
    attribute_twice_without_routes: external, "update[l[10.1.0.0/24] l[origin origin]]" =>
        "withdraw 10.1.0.0/24; discarded ORIGIN";

    // The strongest verdict decides (section 3 h).
    discarded_and_refused: external,
        "update[l[] l[@4001[09] path hop @4006[00]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN; discarded ATOMIC_AGGREGATE";
    refused_and_reset: external, "update[l[] l[@4001[09] path hop @4063[]] 10.1.0.0/24]" =>
        "reset 3/2";
    refused_twice: external, "update[l[] l[@4001[09] @4002[00] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused ORIGIN; refused AS_PATH";
    refused_without_routes: external, "update[l[10.2.0.0/16] l[@4001[09] path hop]]" =>
        "reset 3/6";
    discarded_without_routes: external, "update[l[10.2.0.0/16] l[@4006[00]]]" =>
        "withdraw 10.2.0.0/16; discarded ATOMIC_AGGREGATE";

    // Attributes that we do not know.
    unknown_well_known: external, "update[l[] l[good @4063[]] 10.1.0.0/24]" => "reset 3/2";
    unknown_without_any_flag: external, "update[l[] l[good @0063[]] 10.1.0.0/24]" => "reset 3/2";
    unknown_optional: external, "update[l[] l[good @8063[00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    unknown_optional_transitive: external, "update[l[] l[good @c063[00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    unknown_of_length_0: external, "update[l[] l[good @c063[]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    unknown_of_300_octets: external, "update[l[] l[good @d063[00*300]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    type_0_optional: external, "update[l[] l[good @c000[00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    type_0_well_known: external, "update[l[] l[good @4000[00]] 10.1.0.0/24]" => "reset 3/2";
    type_255_optional: external, "update[l[] l[good @c0ff[00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    type_255_well_known: external, "update[l[] l[good @40ff[00]] 10.1.0.0/24]" => "reset 3/2";
}
