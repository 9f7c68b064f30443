//! OPEN (RFC 4271 section 6.2, RFC 5492, RFC 6286, RFC 7607, RFC 9072).

use super::rows;

rows! {
    // Fixed part.
    open_without_parameters: external, "open[hello 00]" => "open";
    version_3: external, "open[03 fde9 005a c0000201 00]" => "reset 2/1";
    version_5: external, "open[05 fde9 005a c0000201 00]" => "reset 2/1";
    version_0: external, "open[00 fde9 005a c0000201 00]" => "reset 2/1";
    as_0: external, "open[04 0000 005a c0000201 00]" => "reset 2/2";
    as_trans_without_four_octet_as: external, "open[04 5ba0 005a c0000201 00]" => "open";
    hold_time_0: external, "open[04 fde9 0000 c0000201 00]" => "open";
    hold_time_1: external, "open[04 fde9 0001 c0000201 00]" => "reset 2/6";
    hold_time_2: external, "open[04 fde9 0002 c0000201 00]" => "reset 2/6";
    hold_time_3: external, "open[04 fde9 0003 c0000201 00]" => "open";
    hold_time_65535: external, "open[04 fde9 ffff c0000201 00]" => "open";
    identifier_0: external, "open[04 fde9 005a 00000000 00]" => "reset 2/3";
    identifier_that_is_no_address: external, "open[04 fde9 005a 00000001 00]" => "open";
    identifier_of_all_ones: external, "open[04 fde9 005a ffffffff 00]" => "open";

    // Parameters.
    parameters_shorter_than_told: external, "open[hello 05 #02[]]" => "reset 2/0";
    parameters_longer_than_told: external, "open[hello 01 #02[]]" => "reset 2/0";
    parameters_told_as_none_but_there: external, "open[hello 00 #02[]]" => "reset 2/0";
    parameter_type_without_length: external, "open[hello 01 02]" => "reset 2/0";
    parameter_beyond_the_message: external, "open[hello 04 02 03 0200]" => "reset 2/0";
    parameter_of_authentication: external, "open[hello 03 #01[00]]" => "reset 2/4";
    parameter_of_unknown_type: external, "open[hello 02 #63[]]" => "reset 2/4";
    capabilities_of_length_0: external, "open[hello 02 #02[]]" => "open";
    capabilities_in_several_parameters: external,
        "open[hello 08 #02[#02[]] #02[#46[]]]" => "open";

    // Capabilities.
    capability_code_without_length: external, "open[hello 03 #02[41]]" => "reset 2/0";
    capability_beyond_its_parameter: external, "open[hello 05 #02[41 04 00]]" => "reset 2/0";
    capability_beyond_its_parameter_but_within_the_message: external,
        "open[hello 09 #02[41 04 00] #02[#02[]]]" => "reset 2/0";
    capability_unknown: external, "open[hello 06 #02[#f0[0102]]]" => "open";
    capability_of_code_0: external, "open[hello 04 #02[#00[]]]" => "open";
    four_octet_as: external, "open[hello 08 #02[#41[0000fde9]]]" => "open";
    four_octet_as_0: external, "open[hello 08 #02[#41[00000000]]]" => "reset 2/2";
    four_octet_as_of_length_0: external, "open[hello 04 #02[#41[]]]" => "reset 2/0";
    four_octet_as_of_length_3: external, "open[hello 07 #02[#41[00fde9]]]" => "reset 2/0";
    four_octet_as_of_length_5: external, "open[hello 09 #02[#41[0000fde900]]]" => "reset 2/0";
    multiprotocol_of_length_0: external, "open[hello 04 #02[#01[]]]" => "reset 2/0";
    multiprotocol_of_length_3: external, "open[hello 07 #02[#01[000100]]]" => "reset 2/0";
    multiprotocol_of_length_5: external, "open[hello 09 #02[#01[0001000100]]]" => "reset 2/0";
    multiprotocol_of_a_family_we_do_not_carry: external,
        "open[hello 08 #02[#01[00190041]]]" => "open";
    multiprotocol_with_its_reserved_octet_set: external,
        "open[hello 08 #02[#01[0001ff01]]]" => "open";
    multiprotocol_twice: external,
        "open[hello 0e #02[#01[00010001] #01[00010001]]]" => "open";
    graceful_restart_of_length_0: external, "open[hello 04 #02[#40[]]]" => "reset 2/0";
    graceful_restart_of_length_1: external, "open[hello 05 #02[#40[00]]]" => "reset 2/0";
    graceful_restart_without_families: external, "open[hello 06 #02[#40[0078]]]" => "open";
    graceful_restart_with_half_a_family: external,
        "open[hello 08 #02[#40[0078 0001]]]" => "reset 2/0";
    route_refresh_with_a_value: external, "open[hello 05 #02[#02[00]]]" => "open";
    role_of_length_0: external, "open[hello 04 #02[#09[]]]" => "reset 2/0";
    role_of_length_2: external, "open[hello 06 #02[#09[0000]]]" => "reset 2/0";
    role_that_is_undefined: external, "open[hello 05 #02[#09[63]]]" => "open";
    extended_next_hop_of_length_5: external,
        "open[hello 09 #02[#05[0001000100]]]" => "reset 2/0";

    // The extended form.
    extended_parameters: external, "open[hello ff ff 0003 02 0000]" => "open";
    extended_parameters_with_another_length_octet: external,
        "open[hello 07 ff 0003 02 0000]" => "open";
    extended_parameters_without_any: external, "open[hello ff ff 0000]" => "open";
    extended_marker_without_length: external, "open[hello ff ff]" => "reset 2/0";
    extended_marker_with_half_a_length: external, "open[hello ff ff 00]" => "reset 2/0";
    extended_marker_missing: external, "open[hello ff]" => "reset 2/0";
    extended_parameters_shorter_than_told: external,
        "open[hello ff ff 0004 02 0000]" => "reset 2/0";
    extended_parameters_longer_than_told: external,
        "open[hello ff ff 0002 02 0000]" => "reset 2/0";
    extended_parameter_beyond_the_message: external,
        "open[hello ff ff 0003 02 0001]" => "reset 2/0";
    extended_parameter_with_half_a_length: external, "open[hello ff ff 0002 02 00]" => "reset 2/0";
    extended_parameter_of_type_255: external, "open[hello ff ff 0003 ff 0000]" => "reset 2/4";
    extended_parameters_with_a_length_octet_of_0: external,
        "open[hello 00 ff 0003 02 0000]" => "reset 2/0";
}
