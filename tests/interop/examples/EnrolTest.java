// A Java test of a SCEP client against ndes-lab; needs nothing but the JDK: java EnrolTest.java

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

public class EnrolTest {
    private static String ready;

    public static void main(String[] arguments) throws Exception {
        Path folder = Files.createTempDirectory("lab");
        Path file = folder.resolve("ready.json");
        Process lab = new ProcessBuilder("ndes-lab", "up", "--ephemeral", "--port", "0", "--pki-port", "0",
                "--admin-port", "0", "--ready-file", file.toString())
                .redirectOutput(folder.resolve("lab.log").toFile()).redirectErrorStream(true).start();
        try {
            for (int waited = 0; !Files.exists(file); waited++) { // it appears whole, once everything answers
                check(lab.isAlive() && waited < 3000, "ndes-lab is not ready: see " + folder);
                Thread.sleep(20);
            }
            ready = Files.readString(file);
            clientGetsACertificateThatChainsToTheRoot();
            clientFailsWhileTheServerIsBusy();
            System.out.println("2 passed");
        } finally {
            lab.destroy();
            lab.waitFor();
        }
    }

    static void clientGetsACertificateThatChainsToTheRoot() throws Exception {
        manage("/api/v1/reset", "");
        Path folder = Files.createTempDirectory("client");
        check(runMyClient(folder), "the client did not enrol");

        X509Certificate root = read(fact("root_pem").getBytes());
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(root.getEncoded());
        check(HexFormat.of().formatHex(digest).equals(fact("root_sha256")), "another root than was told");
        X509Certificate leaf = read(Files.readAllBytes(folder.resolve("certificate.pem")));
        X509Certificate issuing = read(ask(fact("admin_url") + "/intermediates/0"));

        System.setProperty("com.sun.security.enableCRLDP", "true"); // the CRLs, from where the certificates say
        PKIXParameters trusted = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        CertPathValidator.getInstance("PKIX").validate(factory.generateCertPath(List.of(leaf, issuing)), trusted);
    }

    static void clientFailsWhileTheServerIsBusy() throws Exception {
        manage("/api/v1/reset", "");
        manage("/api/v1/fault-rules", "{\"fault\": \"wire::overloaded\", \"times\": 1}");
        check(!runMyClient(Files.createTempDirectory("client")), "it enrolled with a server that answered 503");
    }

    // The client under test: here Debian's scepclient.
    static boolean runMyClient(Path folder) throws Exception {
        return new ProcessBuilder("scepclient", "-server-url", fact("scep_url"), "-challenge", fact("challenge"),
                "-cn", "device", "-private-key", folder.resolve("key.pem").toString(),
                "-certificate", folder.resolve("certificate.pem").toString())
                .inheritIO().start().waitFor() == 0;
    }

    static String fact(String name) {
        var found = Pattern.compile("\"" + name + "\": \"([^\"]*)\"").matcher(ready);
        check(found.find(), "the ready file has no " + name);
        return found.group(1).replace("\\n", "\n");
    }

    static byte[] ask(String url) throws Exception {
        return send(HttpRequest.newBuilder(URI.create(url)).build());
    }

    static void manage(String path, String body) throws Exception {
        send(HttpRequest.newBuilder(URI.create(fact("admin_url") + path)).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body)).build());
    }

    static byte[] send(HttpRequest request) throws Exception {
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofByteArray());
        check(answer.statusCode() < 300, request.uri() + ": " + new String(answer.body()));
        return answer.body();
    }

    static X509Certificate read(byte[] certificate) throws Exception {
        try (InputStream octets = new ByteArrayInputStream(certificate)) {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(octets);
        }
    }

    static void check(boolean truth, String otherwise) {
        if (!truth) {
            throw new AssertionError(otherwise);
        }
    }
}
