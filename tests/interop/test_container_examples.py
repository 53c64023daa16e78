"""The example for Testcontainers in Java is compiled against what it uses of the libraries.

Its sister in Python is run by test_chain.py, against the chain's processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peers import require_peer

from interop.compose_file import DOCKER, read_compose
from interop.process import run_well

pytestmark = pytest.mark.interop

EXAMPLE = DOCKER / "examples" / "EnrolmentTest.java"
# Signatures as in Testcontainers 1.21 (ComposeContainer, ContainerState, Container, Wait) and JUnit 5.
LIBRARIES = {
    "org.testcontainers.containers.ComposeContainer": """
        public class ComposeContainer {
            public ComposeContainer(java.io.File... composeFiles) {}
            public ComposeContainer withLocalCompose(boolean localCompose) { return this; }
            public ComposeContainer withBuild(boolean build) { return this; }
            public ComposeContainer withPull(boolean pull) { return this; }
            public ComposeContainer withStartupTimeout(java.time.Duration startupTimeout) { return this; }
            public ComposeContainer waitingFor(
                String serviceName, org.testcontainers.containers.wait.strategy.WaitStrategy waitStrategy) {
                return this;
            }
            public java.util.Optional<ContainerState> getContainerByServiceName(String serviceName) {
                return java.util.Optional.empty();
            }
        }""",
    "org.testcontainers.containers.ContainerState": """
        public interface ContainerState {
            default Container.ExecResult execInContainer(String... command)
                throws UnsupportedOperationException, java.io.IOException, InterruptedException {
                return null;
            }
        }""",
    "org.testcontainers.containers.Container": """
        public interface Container {
            class ExecResult {
                public int getExitCode() { return 0; }
                public String getStdout() { return ""; }
                public String getStderr() { return ""; }
            }
        }""",
    "org.testcontainers.containers.wait.strategy.WaitStrategy": "public interface WaitStrategy {}",
    "org.testcontainers.containers.wait.strategy.WaitHealthy": "class WaitHealthy implements WaitStrategy {}",
    "org.testcontainers.containers.wait.strategy.Wait": """
        public class Wait { public static WaitStrategy forHealthcheck() { return new WaitHealthy(); } }""",
    "org.testcontainers.junit.jupiter.Container": "public @interface Container {}",
    "org.testcontainers.junit.jupiter.Testcontainers": "public @interface Testcontainers {}",
    "org.junit.jupiter.api.Test": "public @interface Test {}",
    "org.junit.jupiter.api.io.TempDir": "public @interface TempDir {}",
    "org.junit.jupiter.api.Assertions": """
        public class Assertions {
            public static void assertTrue(boolean condition) {}
            public static void assertTrue(boolean condition, String message) {}
            public static void assertFalse(boolean condition) {}
            public static void assertEquals(int expected, int actual, String message) {}
        }""",
}


def test_the_java_example_compiles(tmp_path: Path) -> None:
    sources = [EXAMPLE]
    for name, body in LIBRARIES.items():
        package, _, simple = name.rpartition(".")
        file = tmp_path / "libraries" / Path(*name.split(".")).with_suffix(".java")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"package {package};\n{body}\n")
        assert simple in body
        sources.append(file)
    done = run_well([require_peer("javac"), "-Xlint:all", "-Werror", "-proc:none", "-d", tmp_path, *sources])
    assert done.text.count("warning") == 0
    assert list(tmp_path.glob("EnrolmentTest*.class"))


def test_the_java_example_asks_for_what_the_composition_has() -> None:
    text = EXAMPLE.read_text()
    services, _ = read_compose()
    assert '"docker/compose.yaml"' in text
    assert services["scep"].replicas >= 1
    assert '"scep-1"' in text
    assert "127.0.0.1:8080:8080" in services["edge"].words["ports"]
