"""Objects that are replaced while they are downloaded."""

import random

import fault_proxy as faults
import pytest
from downloads import overwrite_during_download
from objects import SAMPLE_SIZE, payload_of

from cdn_manager import CDNError, ObjectChangedError


@pytest.mark.parametrize("if_match_ignored", [False, True], ids=["If-Match honoured", "If-Match ignored"])
def test_replaced_object_is_never_mixed(if_match_ignored, admin, bucket, link, connect, folder):
    link.rate = 2 << 20
    rng = random.Random(if_match_ignored)
    manager = connect()
    news = 0
    for _ in range(4):
        end, old, new = overwrite_during_download(admin, link, manager, bucket, rng, if_match_ignored)
        final = folder / bucket / "changing"
        if final.exists():
            assert final.read_bytes() in (old, new)
            news += final.read_bytes() == new
            final.unlink()
        else:
            assert isinstance(end, CDNError)
    assert news > 0


def test_object_that_keeps_changing_is_an_error(admin, bucket, link, connect, folder):
    counter = iter(range(1000))

    def head(request):
        request.answer["etag"] = f'"{next(counter)}"'

    admin.put_object(Bucket=bucket, Key="changing", Body=payload_of(SAMPLE_SIZE))
    link.inject(faults.Fault(head=head, times=None))
    with pytest.raises(ObjectChangedError):
        connect().fetch(bucket, "changing")
    assert not (folder / bucket).exists()
