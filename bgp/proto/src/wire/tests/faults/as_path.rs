//! AS_PATH, AS4_PATH and AS 0 (RFC 7606 section 7.2, RFC 6793 section 6, RFC 7607).

use super::rows;

rows! {
    empty_path: external, "update[l[] l[origin @4002[] hop] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    empty_path_from_an_internal_peer: internal,
        "update[l[] l[origin @4002[] hop pref] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    path_of_255_hops: external,
        "update[l[] l[origin @5002[02 ff 0000fde9*255] hop] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    path_of_256_hops: external,
        "update[l[] l[origin @5002[02 ff 0000fde9*255 02 01 0000fde9] hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    path_of_2000_hops: external_long,
        "update[l[] l[origin @5002[02 fa 0000fde9*250 02 fa 0000fde9*250 02 fa 0000fde9*250 02 fa 0000fde9*250 02 fa 0000fde9*250 02 fa 0000fde9*250 02 fa 0000fde9*250 02 fa 0000fde9*250] hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    set: external, "update[l[] l[origin @4002[01 02 0000fde9 0000fdea] hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    sequence_and_set: external,
        "update[l[] l[origin @4002[02 01 0000fde9 01 01 0000fdea] hop] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";

    segment_of_type_0: external, "update[l[] l[origin @4002[00 01 0000fde9] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    segment_of_type_5: external, "update[l[] l[origin @4002[05 01 0000fde9] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    confederation_sequence: external,
        "update[l[] l[origin @4002[03 01 0000fde9] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    confederation_set: internal,
        "update[l[] l[origin @4002[04 01 0000fde9] hop pref] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    segment_without_as_numbers: external, "update[l[] l[origin @4002[02 00] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    second_segment_without_as_numbers: external,
        "update[l[] l[origin @4002[02 01 0000fde9 02 00] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    segment_type_alone: external, "update[l[] l[origin @4002[02] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    segment_beyond_the_attribute: external,
        "update[l[] l[origin @4002[02 02 0000fde9] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    segment_short_of_the_attribute: external,
        "update[l[] l[origin @4002[02 01 0000fde9 00] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    as_0_in_a_sequence: external,
        "update[l[] l[origin @4002[02 02 0000fde9 00000000] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    as_0_in_a_set: external, "update[l[] l[origin @4002[01 01 00000000] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";
    broken_path_without_routes: external, "update[l[10.1.0.0/24] l[@4002[02 00]]]" =>
        "reset 3/11";

    // The other width than was agreed on.
    two_octet_path_where_four_were_agreed_on: external,
        "update[l[] l[origin path2 hop] 10.1.0.0/24]" => "withdraw 10.1.0.0/24; refused AS_PATH";
    four_octet_path_where_two_were_agreed_on: external_two_octet,
        "update[l[] l[origin path hop] 10.1.0.0/24]" => "withdraw 10.1.0.0/24; refused AS_PATH";
    two_octet_path: external_two_octet, "update[l[] l[good2] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    two_octet_as_0: external_two_octet,
        "update[l[] l[origin @4002[02 01 0000] hop] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS_PATH";

    // AS4_PATH: only from two-octet speakers; a broken one is discarded.
    as4_path: external_two_octet,
        "update[l[] l[origin @4002[02 01 5ba0] hop @c011[02 01 00011170]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    as4_path_from_a_four_octet_speaker: external,
        "update[l[] l[good @c011[02 01 00011170]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_PATH";
    broken_as4_path_from_a_four_octet_speaker: external,
        "update[l[] l[good @c011[63]] 10.1.0.0/24]" => "accept 10.1.0.0/24; discarded AS4_PATH";
    as4_path_longer_than_as_path: external_two_octet,
        "update[l[] l[good2 @c011[02 02 00011170 00011171]] 10.1.0.0/24]" => "accept 10.1.0.0/24";
    as4_path_cut_short: external_two_octet,
        "update[l[] l[good2 @c011[02 02 00011170]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_PATH";
    as4_path_segment_without_as_numbers: external_two_octet,
        "update[l[] l[good2 @c011[02 00]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_PATH";
    as4_path_segment_of_type_5: external_two_octet,
        "update[l[] l[good2 @c011[05 01 00011170]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_PATH";
    as4_path_with_as_0: external_two_octet,
        "update[l[] l[good2 @c011[02 01 00000000]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_PATH";
    as4_path_with_confederation: external_two_octet,
        "update[l[] l[good2 @c011[03 01 00011170 02 01 00011170]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24";
    as4_path_flagged_not_transitive: external_two_octet,
        "update[l[] l[good2 @8011[02 01 00011170]] 10.1.0.0/24]" =>
        "withdraw 10.1.0.0/24; refused AS4_PATH";
    as4_aggregator_from_a_four_octet_speaker: external,
        "update[l[] l[good @c012[00011170 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_AGGREGATOR";
    as4_aggregator_of_length_6: external_two_octet,
        "update[l[] l[good2 @c012[1170 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_AGGREGATOR";
    as4_aggregator_of_as_0: external_two_octet,
        "update[l[] l[good2 @c012[00000000 c0000201]] 10.1.0.0/24]" =>
        "accept 10.1.0.0/24; discarded AS4_AGGREGATOR";
}
