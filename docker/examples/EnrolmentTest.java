// A test of a SCEP client against the chain in containers, with JUnit 5 and Testcontainers:
//   testImplementation("org.junit.jupiter:junit-jupiter:5.11.4")
//   testImplementation("org.testcontainers:junit-jupiter:1.21.3")
// The working folder is the top of this repository. The client is Debian's scepclient: put yours in its place.

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.testcontainers.containers.ComposeContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.junit.jupiter.Container;
import org.testcontainers.junit.jupiter.Testcontainers;

@Testcontainers
class EnrolmentTest {
    private static final String SCEP_URL = "http://localhost:8080/scep"; // as the compose file publishes it

    @Container
    private static final ComposeContainer CHAIN = new ComposeContainer(new File("docker/compose.yaml"))
            .withLocalCompose(true) // the file mounts others beside it
            .withBuild(true)
            .withPull(false)
            .withStartupTimeout(Duration.ofMinutes(5))
            .waitingFor("edge", Wait.forHealthcheck());

    @TempDir
    Path folder;

    @Test
    void enrolsAndChainsToTheRoot() throws Exception {
        assertTrue(runMyClient(challenge(), folder), "the client did not enrol");

        X509Certificate root = certificate(inScep("cat", "issuing/root.crt"));
        X509Certificate issuing = certificate(inScep("cat", "issuing/issuing.crt"));
        X509Certificate leaf = certificate(Files.readString(folder.resolve("certificate.pem")));
        System.setProperty("com.sun.security.enableCRLDP", "true"); // the CRLs, from where the certificates say
        PKIXParameters trusted = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        CertPathValidator.getInstance("PKIX").validate(factory.generateCertPath(List.of(leaf, issuing)), trusted);
    }

    @Test
    void isRefusedWithAChallengeThatWasUsed() throws Exception {
        String challenge = challenge();
        assertTrue(runMyClient(challenge, Files.createDirectory(folder.resolve("first"))));
        assertFalse(runMyClient(challenge, Files.createDirectory(folder.resolve("second"))));
    }

    private static String challenge() throws Exception {
        return inScep("ndes-lab", "challenge", "new").strip();
    }

    private static String inScep(String... command) throws Exception {
        var done = CHAIN.getContainerByServiceName("scep-1").orElseThrow().execInContainer(command);
        assertEquals(0, done.getExitCode(), done.getStderr());
        return done.getStdout();
    }

    private static boolean runMyClient(String challenge, Path folder) throws Exception {
        return new ProcessBuilder("scepclient", "-server-url", SCEP_URL, "-challenge", challenge, "-cn", "device",
                "-private-key", folder.resolve("key.pem").toString(),
                "-certificate", folder.resolve("certificate.pem").toString())
                .directory(folder.toFile()).inheritIO().start().waitFor() == 0;
    }

    private static X509Certificate certificate(String pem) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(pem.getBytes(StandardCharsets.UTF_8)));
    }
}
