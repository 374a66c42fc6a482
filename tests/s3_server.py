"""A real S3 server on this machine, for tests of whatever reads or writes object stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of the server."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Any:
    """A client of the server, which is none of ours."""
    return pytest.importorskip("boto3").client("s3", endpoint_url=s3_server, **KEYS)


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables by which this process and its children reach the server."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(s3: None, s3_client: Any) -> Bucket:
    """An empty bucket."""
    for listed in s3_client.list_buckets()["Buckets"]:
        if listed["Name"] == Bucket.name:
            for key in Bucket(s3_client).keys:
                s3_client.delete_object(Bucket=Bucket.name, Key=key)
            return Bucket(s3_client)
    s3_client.create_bucket(Bucket=Bucket.name)
    return Bucket(s3_client)


class Bucket:
    """What lies in a bucket, as another client than pyarrow's sees it."""

    name = "results"

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getitem__(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def __setitem__(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    @property
    def keys(self) -> list[str]:
        """Keys of all objects; those that mark a folder, which pyarrow leaves, end in a slash."""
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    @property
    def files(self) -> list[str]:
        """Keys of all objects that are no marks of folders."""
        return [key for key in self.keys if not key.endswith("/")]
