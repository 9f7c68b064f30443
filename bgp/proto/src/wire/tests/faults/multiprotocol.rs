//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 section 7, RFC 7606 sections 5.3, 7.11 and 7.12,
//! RFC 2545, RFC 8950, RFC 4724 section 2).

use super::rows;

rows! {
    // What is right.
    reach: external, "update[l[] l[@800e[ipv6 via6 fd00:1::/48] origin path]]" =>
        "accept fd00:1::/48";
    reach_that_is_not_first: external, "update[l[] l[origin path @800e[ipv6 via6 fd00:1::/48]]]" =>
        "accept fd00:1::/48";
    reach_and_nlri: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] good] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; accept fd00:1::/48";
    reach_and_unreach: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] @800f[ipv6 fd00:2::/32] origin path]]" =>
        "accept fd00:1::/48; withdraw fd00:2::/32";
    reach_of_ipv4: external, "update[l[] l[@800e[ipv4 via4 10.1.0.0/24] origin path]]" =>
        "accept 10.1.0.0/24";
    reach_of_the_default_route: external, "update[l[] l[@800e[ipv6 via6 00] origin path]]" =>
        "accept ::/0";
    reach_without_prefixes: external, "update[l[] l[@800e[ipv6 via6] origin path]]" => "nothing";
    reach_with_an_extended_length: external,
        "update[l[] l[@900e[ipv6 via6 fd00:1::/48] origin path]]" => "accept fd00:1::/48";
    reach_with_its_reserved_octet_set: external,
        "update[l[] l[@800e[ipv6 10 fd00 00*13 01 ff fd00:1::/48] origin path]]" =>
        "accept fd00:1::/48";
    reach_with_an_idle_next_hop_attribute: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] good]]" => "accept fd00:1::/48";
    unreach: external, "update[l[] l[@800f[ipv6 fd00:1::/48]]]" => "withdraw fd00:1::/48";
    unreach_of_ipv4: external, "update[l[] l[@800f[ipv4 10.1.0.0/24]]]" => "withdraw 10.1.0.0/24";
    unreach_and_withdrawn: external, "update[l[10.1.0.0/24] l[@800f[ipv6 fd00:1::/48]]]" =>
        "withdraw 10.1.0.0/24 fd00:1::/48";

    // End-of-RIB.
    end_of_rib: external, "update[l[] l[@800f[ipv6]]]" => "end of ipv6";
    end_of_rib_with_an_extended_length: external, "update[l[] l[@900f[ipv6]]]" => "end of ipv6";
    end_of_rib_of_ipv4_by_unreach: external, "update[l[] l[@800f[ipv4]]]" => "end of ipv4";
    end_of_rib_of_a_family_not_agreed_on: external_ipv4_only, "update[l[] l[@800f[ipv6]]]" =>
        "ignored MP_UNREACH_NLRI";
    empty_unreach_beside_withdrawn: external, "update[l[10.1.0.0/24] l[@800f[ipv6]]]" =>
        "withdraw 10.1.0.0/24";
    empty_unreach_beside_another_attribute: external,
        "update[l[] l[@800f[ipv6] @8004[00000001]]]" => "nothing";
    empty_unreach_before_a_default_route: external, "update[l[] l[@800f[ipv6]] 00]" =>
        "withdraw 0.0.0.0/0; refused ORIGIN; refused AS_PATH; refused NEXT_HOP";

    // MP_REACH_NLRI that cannot be read.
    reach_of_length_0: external, "update[l[] l[@800e[] origin path]]" => "reset 3/9";
    reach_without_safi: external, "update[l[] l[@800e[0002] origin path]]" => "reset 3/9";
    reach_without_next_hop_length: external, "update[l[] l[@800e[ipv6] origin path]]" =>
        "reset 3/9";
    reach_with_next_hop_beyond_the_attribute: external,
        "update[l[] l[@800e[ipv6 10 fd00] origin path]]" => "reset 3/9";
    reach_without_reserved_octet: external,
        "update[l[] l[@800e[ipv6 10 fd00 00*13 01] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_0: external,
        "update[l[] l[@800e[ipv6 00 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_1: external,
        "update[l[] l[@800e[ipv6 01 fd 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_2: external,
        "update[l[] l[@800e[ipv6 02 fd00 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_3: external,
        "update[l[] l[@800e[ipv6 03 fd0000 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_4: external,
        "update[l[] l[@800e[ipv6 via4 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_17: external,
        "update[l[] l[@800e[ipv6 11 fd00 00*15 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_24: external,
        "update[l[] l[@800e[ipv6 18 fd00 00*21 01 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv6_with_next_hop_of_length_33: external,
        "update[l[] l[@800e[ipv6 21 fd00 00*31 00 fd00:1::/48] origin path]]" => "reset 3/9";
    reach_of_ipv4_with_next_hop_of_length_0: external,
        "update[l[] l[@800e[ipv4 00 00 10.1.0.0/24] origin path]]" => "reset 3/9";
    reach_of_ipv4_with_next_hop_of_length_3: external,
        "update[l[] l[@800e[ipv4 03 c00002 00 10.1.0.0/24] origin path]]" => "reset 3/9";
    reach_with_prefix_length_129: external,
        "update[l[] l[@800e[ipv6 via6 81 00*17] origin path]]" => "reset 3/9";
    reach_with_prefix_length_255: external,
        "update[l[] l[@800e[ipv6 via6 ff 00*17] origin path]]" => "reset 3/9";
    reach_of_ipv4_with_prefix_length_33: external,
        "update[l[] l[@800e[ipv4 via4 21 00*5] origin path]]" => "reset 3/9";
    reach_with_prefix_beyond_the_attribute: external,
        "update[l[] l[@800e[ipv6 via6 30 fd00] origin path]]" => "reset 3/9";
    reach_beyond_the_field: external,
        "update[l[] l[origin path 80 0e ff 0002 01] 10.1.0.0/24]" => "reset 3/5";
    reach_twice: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] @800e[ipv6 via6 fd00:2::/32] origin path]]" =>
        "reset 3/1";

    // MP_REACH_NLRI whose routes are known all the same.
    reach_flagged_transitive: external, "update[l[] l[@c00e[ipv6 via6 fd00:1::/48] origin path]]" =>
        "withdraw fd00:1::/48; refused MP_REACH_NLRI";
    reach_flagged_well_known: external, "update[l[] l[@400e[ipv6 via6 fd00:1::/48] origin path]]" =>
        "withdraw fd00:1::/48; refused MP_REACH_NLRI";
    reach_without_origin: external, "update[l[] l[@800e[ipv6 via6 fd00:1::/48] path]]" =>
        "withdraw fd00:1::/48; refused ORIGIN";
    reach_without_as_path: external, "update[l[] l[@800e[ipv6 via6 fd00:1::/48] origin]]" =>
        "withdraw fd00:1::/48; refused AS_PATH";
    reach_with_broken_origin: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] @4001[09] path]]" =>
        "withdraw fd00:1::/48; refused ORIGIN";
    reach_nlri_and_broken_origin: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] @4001[09] path hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24 fd00:1::/48; refused ORIGIN";
    reach_nlri_and_no_next_hop: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] origin path] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24 fd00:1::/48; refused NEXT_HOP";
    reach_unreach_and_broken_origin: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] @800f[ipv6 fd00:2::/32] @4001[09] path]]" =>
        "withdraw fd00:2::/32 fd00:1::/48; refused ORIGIN";
    reach_before_an_attribute_beyond_the_field: external,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] origin path 80 04 09]]" =>
        "withdraw fd00:1::/48; refused MULTI_EXIT_DISC";
    reach_without_prefixes_and_broken_origin: external,
        "update[l[] l[@800e[ipv6 via6] @4001[09] path]]" => "reset 3/6";

    // Next hops.
    next_hop_with_link_local: external,
        "update[l[] l[@800e[ipv6 20 fd00 00*13 01 fe80 00*13 01 00 fd00:1::/48] origin path]]" =>
        "accept fd00:1::/48";
    next_hop_of_link_local_alone: external,
        "update[l[] l[@800e[ipv6 10 fe80 00*13 01 00 fd00:1::/48] origin path]]" =>
        "accept fd00:1::/48";
    next_hop_unspecified_with_link_local: external,
        "update[l[] l[@800e[ipv6 20 00*16 fe80 00*13 01 00 fd00:1::/48] origin path]]" =>
        "accept fd00:1::/48";
    next_hop_unspecified: external,
        "update[l[] l[@800e[ipv6 10 00*16 00 fd00:1::/48] origin path]]" =>
        "withdraw fd00:1::/48; refused MP_REACH_NLRI";
    next_hop_loopback: external,
        "update[l[] l[@800e[ipv6 10 00*15 01 00 fd00:1::/48] origin path]]" =>
        "withdraw fd00:1::/48; refused MP_REACH_NLRI";
    next_hop_multicast: external,
        "update[l[] l[@800e[ipv6 10 ff02 00*13 01 00 fd00:1::/48] origin path]]" =>
        "withdraw fd00:1::/48; refused MP_REACH_NLRI";
    next_hop_0_of_ipv4: external,
        "update[l[] l[@800e[ipv4 04 00*4 00 10.1.0.0/24] origin path]]" =>
        "withdraw 10.1.0.0/24; refused MP_REACH_NLRI";
    ipv6_next_hop_of_ipv4: external_next_hop,
        "update[l[] l[@800e[ipv4 via6 10.1.0.0/24] origin path]]" => "accept 10.1.0.0/24";
    ipv6_next_hop_of_ipv4_with_link_local: external_next_hop,
        "update[l[] l[@800e[ipv4 20 fd00 00*13 01 fe80 00*13 01 00 10.1.0.0/24] origin path]]" =>
        "accept 10.1.0.0/24";
    ipv6_next_hop_of_ipv4_not_agreed_on: external,
        "update[l[] l[@800e[ipv4 via6 10.1.0.0/24] origin path]]" => "reset 3/9";

    // Families that were not agreed on.
    reach_of_a_family_not_agreed_on: external_ipv4_only,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] origin path]]" => "ignored MP_REACH_NLRI";
    reach_of_a_family_we_do_not_carry: external,
        "update[l[] l[@800e[vpnv4 0c 00*12 00 70 00*11] origin path]]" => "ignored MP_REACH_NLRI";
    reach_of_a_family_not_agreed_on_beside_nlri: external_ipv4_only,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] good] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; ignored MP_REACH_NLRI";
    reach_of_a_family_not_agreed_on_and_broken_origin: external_ipv4_only,
        "update[l[] l[@800e[ipv6 via6 fd00:1::/48] @4001[09] path]]" =>
        "ignored MP_REACH_NLRI; refused ORIGIN";
    unreach_of_a_family_not_agreed_on: external_ipv4_only,
        "update[l[] l[@800f[ipv6 fd00:1::/48]]]" => "ignored MP_UNREACH_NLRI";
    unreach_of_a_family_we_do_not_carry: external, "update[l[] l[@800f[vpnv4 70 00*14]]]" =>
        "ignored MP_UNREACH_NLRI";

    // MP_UNREACH_NLRI that cannot be read.
    unreach_of_length_0: external, "update[l[] l[@800f[]]]" => "reset 3/9";
    unreach_of_length_2: external, "update[l[] l[@800f[0002]]]" => "reset 3/9";
    unreach_with_prefix_length_129: external, "update[l[] l[@800f[ipv6 81 00*17]]]" => "reset 3/9";
    unreach_with_prefix_beyond_the_attribute: external, "update[l[] l[@800f[ipv6 30 fd00]]]" =>
        "reset 3/9";
    unreach_of_ipv4_with_prefix_length_33: external, "update[l[] l[@800f[ipv4 21 00*5]]]" =>
        "reset 3/9";
    unreach_twice: external,
        "update[l[] l[@800f[ipv6 fd00:1::/48] @800f[ipv6 fd00:2::/32]]]" => "reset 3/1";
    unreach_beyond_the_field: external, "update[l[] l[80 0f 09 0002 01]]" => "reset 3/5";
    unreach_flagged_transitive_without_routes: external,
        "update[l[] l[@c00f[ipv6 fd00:1::/48]]]" => "reset 3/4";
    unreach_flagged_transitive_beside_routes: external,
        "update[l[] l[@c00f[ipv6 fd00:1::/48] good] 10.1.0.0/24]" =>
        "withdraw fd00:1::/48 10.1.0.0/24; refused MP_UNREACH_NLRI";
}
