package netskopesim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority is a certificate for a tenant, and the authority that signed it.
type Authority struct {
	PEM  []byte // the authority's certificate, for clients to trust
	Leaf tls.Certificate
}

// SelfSigned makes an authority of its own and a certificate for 127.0.0.1,
// localhost, sim.goskope.com and the names. Both last a year.
func SelfSigned(names ...string) (*Authority, error) {
	root := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Skopeflow simulator"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, rootKey, err := sign(root, root, nil)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	leaf := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "sim.goskope.com"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range append([]string{"127.0.0.1", "localhost", "sim.goskope.com"}, names...) {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	leafDER, leafKey, err := sign(leaf, root, rootKey)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &Authority{
		PEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}),
		Leaf: tls.Certificate{Certificate: [][]byte{leafDER, rootDER}, PrivateKey: leafKey},
	}, nil
}

// sign makes a key and a certificate for it. Without a parent's key it signs
// itself.
func sign(c, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parentKey == nil {
		parentKey = private
	}
	c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	c.NotBefore = time.Now().Add(-time.Hour)
	c.NotAfter = c.NotBefore.AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &private.PublicKey, parentKey)
	return der, private, err
}
