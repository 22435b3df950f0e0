// Says which supplied certificates Go accepts for what Kubernetes and etcd do with them. Reads cases as JSON from the
// file that its argument names, and writes a JSON list with the reason against each: empty, if there is none.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// A leaf that the Kubernetes CA has to sign.
type leaf struct {
	Path   string
	DNS    []string
	IPs    []string
	Usages []string
}

type files struct{ Certificate, Key string }

type supplied struct {
	Now int64
	// Either a Kubernetes CA, and what it signs,
	CA     *files
	Leaves []leaf
	// or a client of etcd, and the keys of the authorities in Trust.
	Client  *files
	Trust   string
	Hosts   []string
	Signers []files
}

var usages = map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth}

func certificates(path string) (all []*x509.Certificate, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no certificate", path)
	}
	return all, nil
}

// sign makes a leaf as the controller manager and we do: within the term of its CA.
func sign(want leaf, parent *x509.Certificate, key crypto.PrivateKey, now time.Time) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: want.Path},
		NotBefore:             parent.NotBefore,
		NotAfter:              parent.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		DNSNames:              want.DNS,
	}
	for _, ip := range want.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	for _, usage := range want.Usages {
		template.ExtKeyUsage = append(template.ExtKeyUsage, usages[usage])
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func pool(all []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, certificate := range all {
		pool.AddCert(certificate)
	}
	return pool
}

func ca(one supplied, now time.Time) error {
	all, err := certificates(one.CA.Certificate)
	if err != nil {
		return err
	}
	if len(all) != 1 {
		return fmt.Errorf("%d certificates", len(all))
	}
	pair, err := tls.LoadX509KeyPair(one.CA.Certificate, one.CA.Key)
	if err != nil {
		return err
	}
	for _, want := range one.Leaves {
		made, err := sign(want, all[0], pair.PrivateKey, now)
		if err != nil {
			return err
		}
		for _, usage := range want.Usages {
			options := x509.VerifyOptions{Roots: pool(all), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usages[usage]}}
			if _, err := made.Verify(options); err != nil {
				return fmt.Errorf("%s: %w", want.Path, err)
			}
		}
	}
	return nil
}

func client(one supplied, now time.Time) error {
	trust, err := certificates(one.Trust)
	if err != nil {
		return err
	}
	chain, err := certificates(one.Client.Certificate)
	if err != nil {
		return err
	}
	if _, err := tls.LoadX509KeyPair(one.Client.Certificate, one.Client.Key); err != nil {
		return err
	}
	roots := trust
	if foreign(chain, trust) {
		// etcd verifies the client, by authorities of its own: only what is wrong with the leaf itself counts.
		if algorithm := chain[0].SignatureAlgorithm; weak[algorithm] {
			return x509.InsecureAlgorithmError(algorithm)
		}
		roots = chain[:1]
	}
	_, err = chain[0].Verify(x509.VerifyOptions{
		Roots: pool(roots), Intermediates: pool(chain[1:]), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	for _, host := range one.Hosts {
		if err := server(one, host, trust, now); err != nil {
			return fmt.Errorf("server %s: %w", host, err)
		}
	}
	return nil
}

var weak = map[x509.SignatureAlgorithm]bool{
	x509.MD5WithRSA: true, x509.SHA1WithRSA: true, x509.DSAWithSHA1: true, x509.ECDSAWithSHA1: true,
}

// foreign says whether none of the authorities is in the chain, or signed what is in it.
func foreign(chain, trust []*x509.Certificate) bool {
	for _, one := range chain {
		for _, authority := range trust {
			if one.Equal(authority) {
				return false
			}
			if !bytes.Equal(one.RawIssuer, authority.RawSubject) {
				continue
			}
			err := authority.CheckSignature(one.SignatureAlgorithm, one.RawTBSCertificate, one.Signature)
			if err == nil || weak[one.SignatureAlgorithm] {
				return false
			}
		}
	}
	return true
}

// server says whether the host's certificate is among the authorities, or any of them can sign for the host.
func server(one supplied, host string, trust []*x509.Certificate, now time.Time) (err error) {
	want := leaf{Path: host, Usages: []string{"server"}}
	if net.ParseIP(host) != nil {
		want.IPs = []string{host}
	} else {
		want.DNS = []string{host}
	}
	for _, own := range trust {
		_, err = own.Verify(x509.VerifyOptions{
			Roots: pool(trust), CurrentTime: now, DNSName: host,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err == nil {
			return nil
		}
	}
	for _, signer := range one.Signers {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(signer.Certificate, signer.Key); err != nil {
			continue
		}
		var parents []*x509.Certificate
		if parents, err = certificates(signer.Certificate); err != nil {
			continue
		}
		var made *x509.Certificate
		if made, err = sign(want, parents[0], pair.PrivateKey, now); err != nil {
			continue
		}
		_, err = made.Verify(x509.VerifyOptions{
			Roots: pool(trust), CurrentTime: now, DNSName: host,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err == nil {
			return nil
		}
	}
	return err
}

func main() {
	content, err := os.ReadFile(os.Args[1])
	var cases []supplied
	if err == nil {
		err = json.Unmarshal(content, &cases)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	reasons := make([]string, len(cases))
	for i, one := range cases {
		now, decide := time.Unix(one.Now, 0), ca
		if one.Client != nil {
			decide = client
		}
		if err := decide(one, now); err != nil {
			reasons[i] = err.Error()
		}
	}
	json.NewEncoder(os.Stdout).Encode(reasons)
}
