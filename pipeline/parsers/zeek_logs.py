"""Zeek's logs: the fields that each has by default, in order, and what kind of value a field holds.

The order is that of Zeek 5 to 7 with its own scripts (Zeek's script reference, the records `Info`); a site that adds
fields says them in its topic's settings or sends the header. Kinds go by name, since a name has one kind in all logs.
"""

from __future__ import annotations

from typing import Final

_ENDS: Final = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p "
_CONN: Final = (
    _ENDS + "proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history "
    "orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents"
)
_DNS: Final = (
    _ENDS + "proto trans_id rtt query qclass qclass_name qtype qtype_name rcode rcode_name AA TC RD RA Z answers TTLs "
    "rejected"
)

#: Log → its fields, by each number of them that is usual.
SCHEMAS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    log: tuple(tuple(layout.split()) for layout in layouts)
    for log, layouts in {
        "conn": (
            _CONN,
            _CONN + " ip_proto",
        ),
        "dns": (
            _DNS,
            _DNS + " opcode opcode_name",
        ),
        "http": (
            _ENDS + "trans_depth method host uri referrer version user_agent origin request_body_len "
            "response_body_len status_code status_msg info_code info_msg tags username password proxied orig_fuids "
            "orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types",
        ),
        "ssl": (
            _ENDS + "version cipher curve server_name resumed last_alert next_protocol established ssl_history "
            "cert_chain_fps client_cert_chain_fps sni_matches_cert",
            _ENDS + "version cipher curve server_name resumed last_alert next_protocol established cert_chain_fuids "
            "client_cert_chain_fuids subject issuer client_subject client_issuer",
        ),
        "x509": (
            (
                "ts fingerprint certificate.version certificate.serial certificate.subject certificate.issuer "
                "certificate.not_valid_before certificate.not_valid_after certificate.key_alg certificate.sig_alg "
                "certificate.key_type certificate.key_length certificate.exponent certificate.curve san.dns san.uri "
                "san.email san.ip basic_constraints.ca basic_constraints.path_len host_cert client_cert"
            ),
        ),
        "files": (
            (
                "ts fuid uid id.orig_h id.orig_p id.resp_h id.resp_p source depth analyzers mime_type filename "
                "duration local_orig is_orig seen_bytes total_bytes missing_bytes overflow_bytes timedout parent_fuid "
                "md5 sha1 sha256 extracted extracted_cutoff extracted_size"
            ),
            (
                "ts fuid tx_hosts rx_hosts conn_uids source depth analyzers mime_type filename duration local_orig "
                "is_orig seen_bytes total_bytes missing_bytes overflow_bytes timedout parent_fuid md5 sha1 sha256 "
                "extracted extracted_cutoff extracted_size"
            ),
        ),
        "smtp": (
            _ENDS + "trans_depth helo mailfrom rcptto date from to cc reply_to msg_id in_reply_to subject "
            "x_originating_ip first_received second_received last_reply path user_agent tls fuids",
        ),
        "ssh": (
            _ENDS + "version auth_success auth_attempts direction client server cipher_alg mac_alg compression_alg "
            "kex_alg host_key_alg host_key",
        ),
        "kerberos": (
            _ENDS + "request_type client service success error_msg from till cipher forwardable renewable "
            "client_cert_subject client_cert_fuid server_cert_subject server_cert_fuid",
        ),
        "ntlm": (
            _ENDS + "username hostname domainname server_nb_computer_name server_dns_computer_name "
            "server_tree_name success",
        ),
        "smb_files": (
            _ENDS + "fuid action path name size prev_name times.modified times.accessed times.created times.changed",
        ),
        "smb_mapping": (_ENDS + "path service native_file_system share_type",),
        "dce_rpc": (_ENDS + "rtt named_pipe endpoint operation",),
        "rdp": (
            _ENDS + "cookie result security_protocol client_channels keyboard_layout client_build client_name "
            "client_dig_product_id desktop_width desktop_height requested_color_depth cert_type cert_count "
            "cert_permanent encryption_level encryption_method",
        ),
        "ftp": (
            _ENDS + "user password command arg mime_type file_size reply_code reply_msg data_channel.passive "
            "data_channel.orig_h data_channel.resp_h data_channel.resp_p fuid",
        ),
        "notice": (
            _ENDS + "fuid file_mime_type file_desc proto note msg sub src dst p n peer_descr actions "
            "email_dest suppress_for remote_location.country_code remote_location.region remote_location.city "
            "remote_location.latitude remote_location.longitude",
        ),
        "weird": (_ENDS + "name addl notice peer source",),
        "pe": (
            (
                "ts id machine compile_ts os subsystem is_exe is_64bit uses_aslr uses_dep uses_code_integrity uses_seh "
                "has_import_table has_export_table has_cert_table has_debug_data section_names"
            ),
        ),
        "dhcp": (
            (
                "ts uids client_addr server_addr mac host_name client_fqdn domain requested_addr assigned_addr "
                "lease_time client_message server_message msg_types duration"
            ),
        ),
        "software": (
            (
                "ts host host_p software_type name version.major version.minor version.minor2 version.minor3 "
                "version.addl unparsed_version"
            ),
        ),
        "intel": (
            _ENDS + "seen.indicator seen.indicator_type seen.where seen.node matched sources fuid file_mime_type "
            "file_desc",
        ),
    }.items()
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Seconds since 1970, or a span in seconds.
DOUBLES: Final = _words(
    "ts duration rtt lease_time suppress_for from till compile_ts certificate.not_valid_before "
    "certificate.not_valid_after times.modified times.accessed times.created times.changed "
    "remote_location.latitude remote_location.longitude"
)
COUNTS: Final = _words(
    "id.orig_p id.resp_p orig_bytes resp_bytes missed_bytes orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes ip_proto "
    "trans_id qclass qtype rcode Z opcode trans_depth request_body_len response_body_len status_code info_code "
    "certificate.version certificate.key_length basic_constraints.path_len depth seen_bytes total_bytes "
    "missing_bytes overflow_bytes extracted_size auth_attempts size desktop_width desktop_height cert_count file_size "
    "reply_code data_channel.resp_p p n host_p version.major version.minor version.minor2 version.minor3"
)
BOOLS: Final = _words(
    "local_orig local_resp AA TC RD RA rejected resumed established sni_matches_cert basic_constraints.ca host_cert "
    "client_cert is_orig timedout extracted_cutoff tls auth_success success forwardable renewable cert_permanent "
    "data_channel.passive notice is_exe is_64bit uses_aslr uses_dep uses_code_integrity uses_seh has_import_table "
    "has_export_table has_cert_table has_debug_data"
)
LISTS: Final = _words(
    "tunnel_parents answers TTLs tags proxied orig_fuids orig_filenames orig_mime_types resp_fuids resp_filenames "
    "resp_mime_types cert_chain_fps client_cert_chain_fps cert_chain_fuids client_cert_chain_fuids san.dns san.uri "
    "san.email san.ip analyzers tx_hosts rx_hosts conn_uids rcptto to cc fuids client_channels actions "
    "email_dest section_names uids msg_types sources matched"
)
#: Names that have another kind in one log: `log.name`.
ELSEWHERE: Final = {"smtp.path": "list", "smtp.from": "text", "ssh.version": "count"}
#: Lists of numbers.
SPANS: Final = frozenset({"TTLs"})
