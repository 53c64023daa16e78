// A Go test of a SCEP client against ndes-lab; needs nothing but the standard library.
package enrol

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the ready file holds, as far as it is used here.
var lab struct {
	ScepURL    string `json:"scep_url"`
	AdminURL   string `json:"admin_url"`
	Challenge  string `json:"challenge"`
	RootPEM    string `json:"root_pem"`
	RootSHA256 string `json:"root_sha256"`
}

// One lab for all tests of the package; each begins with a reset.
func TestMain(m *testing.M) {
	os.Exit(runWithLab(m))
}

func runWithLab(m *testing.M) int {
	folder, err := os.MkdirTemp("", "lab")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	ready := filepath.Join(folder, "ready.json")
	process := exec.Command("ndes-lab", "up", "--ephemeral", "--port", "0", "--pki-port", "0",
		"--admin-port", "0", "--ready-file", ready)
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		panic(err)
	}
	defer process.Wait()
	defer process.Process.Signal(os.Interrupt)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if facts, err := os.ReadFile(ready); err == nil { // it appears whole, once everything answers
			if err := json.Unmarshal(facts, &lab); err != nil {
				panic(err)
			}
			return m.Run()
		}
		if time.Since(began) > time.Minute {
			panic("ndes-lab is not ready after a minute")
		}
	}
}

func manage(t *testing.T, path, body string) {
	t.Helper()
	answer, err := http.Post(lab.AdminURL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode >= 300 {
		t.Fatalf("%s: %s: %s", path, answer.Status, said)
	}
}

// The client under test: here Debian's scepclient.
func runMyClient(folder string) error {
	said, err := exec.Command("scepclient", "-server-url", lab.ScepURL, "-challenge", lab.Challenge,
		"-cn", "device", "-private-key", filepath.Join(folder, "key.pem"),
		"-certificate", filepath.Join(folder, "certificate.pem")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestClientGetsACertificateThatChainsToTheRoot(t *testing.T) {
	manage(t, "/api/v1/reset", "")
	folder := t.TempDir()
	if err := runMyClient(folder); err != nil {
		t.Fatal(err)
	}
	octets, err := os.ReadFile(filepath.Join(folder, "certificate.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(octets)
	leaf := parse(t, block.Bytes)

	block, _ = pem.Decode([]byte(lab.RootPEM))
	if digest := sha256.Sum256(block.Bytes); hex.EncodeToString(digest[:]) != lab.RootSHA256 {
		t.Fatal("this is not the root whose thumbprint was told")
	}
	answer, err := http.Get(leaf.IssuingCertificateURL[0])
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	issuing, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(parse(t, block.Bytes))
	between.AddCert(parse(t, issuing))
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClientFailsWhileTheServerIsBusy(t *testing.T) {
	manage(t, "/api/v1/reset", "")
	manage(t, "/api/v1/fault-rules", `{"fault": "wire::overloaded", "times": 1}`)
	if runMyClient(t.TempDir()) == nil {
		t.Fatal("the client enrolled with a server that answered 503")
	}
}
