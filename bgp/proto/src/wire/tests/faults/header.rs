//! The message header, and messages that are little more (RFC 4271 sections 6.1, 6.4, RFC 8654,
//! RFC 2918, RFC 7313).

use super::rows;

rows! {
    // Marker.
    marker_damaged_in_its_first_octet: external, "fe ff*15 0013 04" => "reset 1/1";
    marker_damaged_in_its_last_octet: external, "ff*15 00 0013 04" => "reset 1/1";
    marker_of_zeroes: external, "00*16 0013 04" => "reset 1/1";
    marker_damaged_in_a_message_cut_short: external, "ff ff 00" => "reset 1/1";
    marker_of_another_protocol: external, "474554202f20485454502f312e31" => "reset 1/1";

    // Cut short.
    nothing_at_all: external, "" => "wait for more";
    one_octet: external, "ff" => "wait for more";
    marker_alone: external, "ff*16" => "wait for more";
    header_without_type: external, "ff*16 0013" => "wait for more";
    header_of_an_update_alone: external, "ff*16 0017 02" => "wait for more";
    update_without_its_last_octet: external, "ff*16 0017 02 000000" => "wait for more";

    // Length.
    length_0: external, "ff*16 0000 04" => "reset 1/2";
    length_18: external, "ff*16 0012 04" => "reset 1/2";
    length_4096: external, "ff*16 1000 02" => "wait for more";
    length_4097: external, "ff*16 1001 02" => "reset 1/2";
    length_65535: external, "ff*16 ffff 02" => "reset 1/2";
    length_4097_of_extended_messages: external_long, "ff*16 1001 02" => "wait for more";
    length_65535_of_extended_messages: external_long, "ff*16 ffff 02" => "wait for more";
    length_18_of_extended_messages: external_long, "ff*16 0012 02" => "reset 1/2";
    open_of_28_octets: external, "ff*16 001c 01 00*9" => "reset 1/2";
    open_of_4097_octets_of_extended_messages: external_long, "ff*16 1001 01" => "reset 1/2";
    update_of_22_octets: external, "ff*16 0016 02 00*3" => "reset 1/2";
    notification_of_20_octets: external, "ff*16 0014 03 06" => "reset 1/2";
    notification_of_4097_octets_of_extended_messages: external_long,
        "notification[06 02 00*4076]" => "notification 6/2";
    keepalive_of_20_octets: external, "ff*16 0014 04 00" => "reset 1/2";
    keepalive_of_18_octets: external, "ff*16 0012 04" => "reset 1/2";
    refresh_of_22_octets: external, "ff*16 0016 05 000100" => "reset 1/2";

    // Type.
    type_0: external, "ff*16 0013 00" => "reset 1/3";
    type_6: external, "ff*16 0013 06" => "reset 1/3";
    type_255: external, "ff*16 0013 ff" => "reset 1/3";
    type_6_of_impossible_length: external, "ff*16 0012 06" => "reset 1/2";

    // What is right.
    keepalive: external, "keepalive[]" => "keepalive";
    keepalive_and_half_of_another: external, "keepalive[] ff*7" => "keepalive";

    // NOTIFICATION of any content is taken as it is.
    notification_of_unknown_code: external, "notification[63 63]" => "notification 99/99";
    notification_of_code_0: external, "notification[00 00]" => "notification 0/0";
    notification_with_data: external, "notification[06 02 04 64616461]" => "notification 6/2";
    notification_with_text_longer_than_its_data: external,
        "notification[06 02 ff 6461]" => "notification 6/2";
    notification_with_text_that_is_no_utf8: external,
        "notification[06 02 02 fffe]" => "notification 6/2";
    notification_of_4096_octets: external, "notification[06 02 00*4075]" => "notification 6/2";

    // ROUTE-REFRESH.
    refresh_of_ipv4: external, "refresh[0001 00 01]" => "refresh ipv4 request";
    refresh_of_ipv6: external, "refresh[0002 00 01]" => "refresh ipv6 request";
    refresh_of_a_family_we_do_not_carry: external, "refresh[0019 00 41]" => "refresh unknown request";
    refresh_begin: external, "refresh[0001 01 01]" => "refresh ipv4 begin";
    refresh_end: external, "refresh[0001 02 01]" => "refresh ipv4 end";
    refresh_of_unknown_subtype: external, "refresh[0001 ff 01]" => "refresh ipv4 subtype 255";
    refresh_with_filters_never_agreed_on: external, "refresh[0001 00 01 01 40 0000]" => "reset 1/2";
    refresh_begin_with_more_octets: external, "refresh[0001 01 01 00]" => "reset 7/1";
    refresh_end_with_more_octets: external, "refresh[0001 02 01 00]" => "reset 7/1";
}
