"""Why a REGISTER is refused: the status, and the text of P-Registrar-Error, as Kamailio writes it."""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    """(status, text)."""

    FINE = 200, "No problem"
    DELETE_RECORD = 500, "usrloc_record_delete failed"
    GET_RECORD = 500, "usrloc_record_get failed"
    NEW_RECORD = 500, "usrloc_record_new failed"
    CSEQ = 400, "Invalid CSeq number"
    INSERT_CONTACT = 500, "usrloc_contact_insert failed"
    DELETE_CONTACT = 500, "usrloc_contact_delete failed"
    UPDATE_CONTACT = 500, "usrloc_contact_update failed"
    AOR_LEN = 500, "Address Of Record too long"
    AOR_PARSE = 400, "Error while parsing AOR"
    Q = 400, "Invalid q param in contact"
    PARSE = 400, "Message parse error"
    PARSE_EXPIRES = 400, "Expires parse error"
    PARSE_CONTACT = 400, "Contact parse error"
    STAR_EXPIRES = 400, "* used in contact and expires is not zero"
    STAR_CONTACTS = 400, "* used in contact and more than 1 contact"
    UNESCAPE = 400, "Error while unescaping username"
    TOO_MANY = 503, "Too many registered contacts"
    CONTACT_LEN = 400, "Contact/received too long"
    CALLID_LEN = 400, "Callid too long"
    PARSE_PATH = 400, "Path parse error"
    PATH_UNSUPPORTED = 420, "No support for found Path indicated"
    OUTBOUND_UNSUPPORTED = 421, "No support for Outbound indicated"
    OUTBOUND_REQUIRED = 420, "No support for Outbound on server"
    EDGE_UNSUPPORTED = 439, "No support for Outbound on edge proxy"
    REG_ID = 400, "Invalid Reg-Id number"
    LOW_EXPIRES = 423, "Interval too brief"

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text


REASONS = {
    200: "OK", 400: "Bad Request", 420: "Bad Extension", 421: "Extension Required", 423: "Interval Too Brief",
    439: "First Hop Lacks Outbound Support", 500: "Server Internal Error", 503: "Service Unavailable",
}  # fmt: skip


class Refused(Exception):
    """Raised where it is found out; what there was to log has been logged."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
