package weirpolicy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

var options struct{ listen, cert, key, clientCA string }

// Flags adds -listen, -tls-cert, -tls-key and -tls-client-ca to the command
// line. Main does it by itself; whoever calls flag.Parse before does it first.
func Flags() {
	flag.StringVar(&options.listen, "listen", "",
		"`endpoint`: unix:/path, tcp:host:port or tls:host:port (port 0: any)")
	flag.StringVar(&options.cert, "tls-cert", "", "certificate `file` (PEM) for tls:")
	flag.StringVar(&options.key, "tls-key", "", "its key `file`")
	flag.StringVar(&options.clientCA, "tls-client-ca", "",
		"`file` of CAs: weir must show a certificate of one of them")
}

// Main serves at -listen until SIGTERM or SIGINT, then answers what was asked
// and returns. It exits with 2 if it cannot listen.
func Main(p *Policy) {
	if flag.Lookup("listen") == nil {
		Flags()
	}
	if !flag.Parsed() {
		flag.Parse()
	}
	if err := run(p); err != nil {
		log.Printf("%s: %v", options.listen, err)
		os.Exit(2)
	}
}

func run(p *Policy) error {
	if options.listen == "" {
		return errors.New("-listen is missing; -help tells more")
	}
	if p.TLSConfig == nil && options.cert != "" {
		config, err := serverTLS(options.cert, options.key, options.clientCA)
		if err != nil {
			return err
		}
		p.TLSConfig = config
	}
	l, err := p.Listen(options.listen)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return p.Serve(ctx, l)
}

func serverTLS(cert, key, clientCA string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	if clientCA != "" {
		pem, err := os.ReadFile(clientCA)
		if err != nil {
			return nil, err
		}
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", clientCA)
		}
	}
	return config, nil
}

// Listen listens at "unix:/path", "tcp:host:port" or, with TLSConfig set,
// "tls:host:port". A unix socket that a dead server left behind is replaced.
func (p *Policy) Listen(endpoint string) (net.Listener, error) {
	kind, rest, _ := strings.Cut(endpoint, ":")
	var l net.Listener
	var err error
	switch {
	case kind == "unix" && rest != "":
		l, err = listenUnix(rest)
	case kind == "tcp" && rest != "":
		l, err = net.Listen("tcp", rest)
	case kind == "tls" && rest != "" && p.TLSConfig == nil:
		return nil, errors.New("tls: needs a certificate and its key")
	case kind == "tls" && rest != "":
		l, err = tls.Listen("tcp", rest, p.TLSConfig)
	default:
		return nil, errors.New("no endpoint: write unix:/path, tcp:host:port or tls:host:port")
	}
	if err == nil {
		p.logf("listening on %s:%s", kind, l.Addr())
	}
	return l, err
}

// unixListener removes its socket when it closes, but nobody else's.
type unixListener struct {
	*net.UnixListener
	path string
	made os.FileInfo
}

func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, errors.New("the file is there and is no socket")
		}
		probe, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			probe.Close()
			return nil, errors.New("another server listens there")
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	made, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &unixListener{l, path, made}, nil
}

func (l *unixListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

func isTemporary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ECONNABORTED)
}
