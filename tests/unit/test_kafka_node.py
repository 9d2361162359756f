"""What is decided before Java starts: the jars, the program, the properties."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded.kafka_node import jars_of, java_program, node_properties, read_properties
from schemas.errors import RefusedError


def test_the_jars_are_found_in_a_distribution_and_in_a_bare_folder(tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    jar = tmp_path / "libs" / "kafka_2.13-4.3.1.jar"
    jar.touch()
    assert jars_of(tmp_path) == tmp_path / "libs"
    assert jars_of(tmp_path / "libs") == tmp_path / "libs"
    jar.rename(jar.with_name("kafka_2.13-2.8.0.jar"))
    with pytest.raises(RefusedError, match=r"holds Kafka 2\.8\.0: KRaft needs 3\.3"):
        jars_of(tmp_path)


def test_a_folder_that_is_no_kafka_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kafka-clients-4.3.1.jar").touch()
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RefusedError, match="is no Apache Kafka"):
            jars_of(folder)


def test_a_machine_without_java_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="needs Java 17"):
        java_program()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(RefusedError, match="JAVA_HOME"):
        java_program()


def test_given_properties_win_and_given_listeners_are_added(tmp_path: Path) -> None:
    file = tmp_path / "extra.properties"
    file.write_text(
        "# a comment\n\nlisteners=SSL://127.0.0.1:7\nlog.message.timestamp.type = LogAppendTime\nssl.x=a=b\n"
    )
    found = node_properties(5, 6, tmp_path, read_properties(file))
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:5,CONTROLLER://127.0.0.1:6,SSL://127.0.0.1:7"
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:5,SSL://127.0.0.1:7"
    assert found["log.message.timestamp.type"] == "LogAppendTime"
    assert found["ssl.x"] == "a=b"
    assert found["auto.create.topics.enable"] == "false"
    assert {found[name] for name in found if name.endswith(("replication.factor", "min.isr"))} == {"1"}
