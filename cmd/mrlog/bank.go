// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

// Banks of an IMA list that the user asks for.

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mrlog.dev"
	"mrlog.dev/convert"
)

// banking holds the flag that says which further banks an IMA list has.
type banking struct{ args []string }

func (b *banking) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&b.args, "bank", nil, "derive the digests of an IMA list in `ALG`, too; ALG:padded as Linux before 5.8 extended it (repeatable)")
	must(cmd.RegisterFlagCompletionFunc("bank", complete("sha256", "sha256:padded", "sha384", "sha384:padded", "sha512", "sha512:padded")))
}

// source adds the banks to how a log is read.
func (b *banking) source(o convert.Source) (convert.Source, error) {
	for _, arg := range b.args {
		name, how, padded := strings.Cut(arg, ":")
		alg, err := mrlog.ParseAlg(name)
		switch {
		case err != nil:
			return o, usage("--bank: %w", err)
		case alg.Size() == 0:
			return o, usage("--bank: algorithm %s is not known", alg)
		case padded && how != "padded":
			return o, usage("--bank %.40q: want ALG or ALG:padded", arg)
		case padded && alg == mrlog.SHA1:
			return o, usage("--bank %s: other banks are padded with the digest of sha1", arg)
		case slices.Contains(o.Banks, alg) || slices.Contains(o.Padded, alg):
			return o, usage("--bank %s: a bank is extended in one way, and was named before", arg)
		case padded:
			o.Padded = append(o.Padded, alg)
		default:
			o.Banks = append(o.Banks, alg)
		}
	}
	return o, nil
}

// check refuses the flag where no log is an IMA list, or holds one among others:
// what else a log has, nobody derives.
func (b *banking) check(formats ...string) error {
	if b.args != nil && !slices.ContainsFunc(formats, func(f string) bool { return isIMA(f) || f == "joined" }) {
		return usage("--bank: no log is an IMA list: other logs have the digests of all of their banks")
	}
	return nil
}

// noteBank tells whose digests an IMA list has, and that the register has more
// banks.
func (e *env) noteBank(in *input) {
	h := in.Reader.Header()
	if !isIMA(h.Format) || len(h.Algs) == 0 || len(h.DerivedBanks) > 0 {
		return
	}
	if !slices.Contains(in.sight.Spaces, mrlog.PCR) {
		return // only PCRs have several banks
	}
	e.note("%s: the list has the digests of one bank, %s, and its values are of that; --bank ALG derives those of another", in.name, h.Algs[0].Alg)
}
