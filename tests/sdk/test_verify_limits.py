"""What `lrm verify` allows where network and field are in different precisions."""

import pytest

from lrm_sdk.verify import LIMITS, Limits, VerificationReport, limits_for


@pytest.mark.parametrize("precision", LIMITS)
def test_a_float32_field_leaves_the_networks_limits(precision):
    assert limits_for(precision, "float32") == LIMITS[precision]


def test_a_less_exact_field_widens_all_but_the_planes():
    half = LIMITS["float16"]
    expected = Limits(LIMITS["float32"].planes, half.density, half.rgb, half.render_psnr_db)
    assert limits_for("float32", "float16") == expected
    assert limits_for("int8", "float16") == LIMITS["int8"]


def test_the_report_judges_by_them():
    figures = ("here", "float32", 1e-6, 2e-3, 2e-3, 60.0)  # density: what a field in float16 is off by
    assert not VerificationReport(*figures).passed
    report = VerificationReport(*figures, field_precision="float16")
    assert report.passed and report.to_json()["field_precision"] == "float16"
    assert "network float32, field float16" in str(report) and "<= 0.1)" in str(report)
