"""The words for mappings: what a field's type is called, and which row errors its cells can have."""

from __future__ import annotations

from admin.language import N_
from mappings.catalogue import Catalogue, Field, RowErrorKind

FIELD_TYPES = {
    "text": N_("文本"),
    "name": N_("姓名"),
    "id_no": N_("公民身份号码"),
    "code": N_("代码"),
    "date": N_("日期"),
    "datetime": N_("日期时间"),
    "month": N_("年月"),
    "integer": N_("整数"),
    "decimal": N_("小数"),
    "boolean": N_("是否"),
    "area": N_("村居"),
    "division": N_("行政区划"),
    "phone": N_("电话"),
    "certificate": N_("证件编号"),
    "uscc": N_("统一社会信用代码"),
}
ROW_FIELDS = {"change_kind": N_("变动标识"), "section": N_("所在村居小节")}
# By the beginning of a code; which of them a cell really gets is the check's own business.
_BY_TYPE = {
    "text": ("E_TEXT_TOO_LONG", "E_MOJIBAKE"),
    "name": ("E_NAME_", "W_NAME_", "E_MOJIBAKE"),
    "id_no": ("E_ID_", "W_ID_", "N_ID_"),
    "code": ("E_CODE",),
    "date": ("E_DATE", "W_DATE_SHORT_YEAR", "N_DATE_MONTH"),
    "datetime": ("E_DATE", "W_DATE_SHORT_YEAR"),
    "month": ("E_DATE", "N_DATE_MONTH"),
    "integer": ("E_NUMBER",),
    "decimal": ("E_NUMBER",),
    "boolean": ("E_CODE",),
    "area": ("E_AREA", "N_OTHER_DISTRICT"),
    "division": ("E_AREA", "N_OTHER_DISTRICT"),
    "phone": ("W_PHONE",),
    "certificate": ("E_CERTIFICATE", "E_NUMBER_TRUNCATED"),
    "uscc": ("E_USCC",),
}
_OF_EVERY_CELL = ("E_TEXT_TURNED_DATE", "E_FORMULA_NO_VALUE")


def errors_of(catalogue: Catalogue, field: Field | None, in_the_key: bool) -> list[RowErrorKind]:
    """What a cell of this field can be refused, held or marked for."""
    if field is None:
        return [catalogue.row_errors["E_CHANGE_KIND"]]
    beginnings = (*_BY_TYPE[field.type], *_OF_EVERY_CELL)
    beginnings += ("E_REQUIRED",) * field.required + ("E_KEY_",) * in_the_key
    return [kind for code, kind in catalogue.row_errors.items() if code.startswith(beginnings)]
