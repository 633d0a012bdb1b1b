// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// globals are the flags that every verb knows.
type globals struct {
	state  string
	device string
}

const defaultState = "/run/mrlog"

// run is the whole program: it parses the arguments, runs the verb, reports
// its error and returns the exit code.
func run(ctx context.Context, e *env, args []string) int {
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	// An error in the flags themselves is also printed as asked for.
	flags, _, _ := strings.Cut(strings.Join(args, "\x00")+"\x00", "\x00--\x00")
	e.json = slices.Contains(strings.Split(flags, "\x00"), "--json")
	defer e.end()
	return e.report(root.ExecuteContext(ctx))
}

func newRoot(e *env) *cobra.Command {
	var g globals
	root := &cobra.Command{
		Use:   "mrlog",
		Short: "the log of a machine's measurement registers",
		Long: `mrlog records events into measurement registers and their logs, converts
such logs between formats, replays and verifies them.

A measurement register (PCR, RTMR) can only be extended. Its value, in signed
evidence, means what the log of its extensions says: mrlog keeps the two in
step, and shows later that they agree.`,
		Example: `  mrlog extend example.org/app Started version=1.2 --device soft --state /tmp/mr
  mrlog show /tmp/mr/rtmr2/log
  mrlog convert --to cel-json /tmp/mr/rtmr2/log
  mrlog verify --expect rtmr2=HEX /tmp/mr/rtmr2/log`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usage("no verb given")
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&g.state, "state", "", "`FOLDER` of the logs (default MRLOG_STATE, else "+defaultState+")")
	f.StringVar(&g.device, "device", "", "`DEVICE` that holds the registers: tdx[:TREE[,REPORT]] | tpm[:PATH] | soft[-tpm][:FOLDER] (default MRLOG_DEVICE, else the one that is found)")
	f.BoolVar(&e.json, "json", false, "print one JSON object (docs/json.md)")
	f.SortFlags = false

	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var value *pflag.InvalidValueError
		if errors.As(err, &value) {
			err = fmt.Errorf("--%s %.40q: want %s", value.GetFlag().Name, value.GetValue(), wants(value.GetFlag()))
		}
		return &failure{code: exitUsage, err: err, hint: "see " + cmd.CommandPath() + " --help"}
	})
	root.SetUsageTemplate(usageTemplate)
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelp())
	root.Version = buildVersion().Version
	root.SetVersionTemplate("mrlog {{.Version}}\n")

	root.AddCommand(
		newExtend(e, &g), newShow(e), newConvert(e, &g), newReplay(e), newVerify(e),
		newStatus(e, &g), newSnapshot(e, &g), newRecover(e, &g), newLog(e, &g), newVersion(e), newCompletion(e),
	)
	namesArguments(root)
	return root
}

// namesArguments makes wrong arguments of every verb an error of wrong usage
// that says where the help is.
func namesArguments(parent *cobra.Command) {
	for _, c := range parent.Commands() {
		namesArguments(c)
		args := c.Args
		c.Args = func(cmd *cobra.Command, a []string) error {
			if args == nil {
				return nil
			}
			if err := args(cmd, a); err != nil {
				var f *failure
				if errors.As(err, &f) {
					return err
				}
				return &failure{code: exitUsage, err: err, hint: "see " + cmd.CommandPath() + " --help"}
			}
			return nil
		}
	}
}

// wants says which values a flag takes.
func wants(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "uint", "uint32", "uint64":
		return "a number, 0 or more"
	}
	return "a number"
}

// newHelp is for who tries "mrlog help VERB"; the flag --help is what help
// itself names.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB]", Short: "print help", Hidden: true, Example: "  mrlog help extend",
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, _, err := cmd.Root().Find(args)
			if err != nil || verb == cmd.Root() && len(args) > 0 {
				return unknownVerb(cmd.Root(), args[0])
			}
			return verb.Help()
		},
	}
}

func unknownVerb(root *cobra.Command, name string) error {
	f := &failure{code: exitUsage, err: fmt.Errorf("unknown verb %q", name), hint: "see mrlog --help"}
	if near := root.SuggestionsFor(name); len(near) > 0 {
		f.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return f
}

// usageTemplate is cobra's, in our order: every help ends with an example and
// the exit codes.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} VERB [flags] [FILE...]{{else}}{{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}

Verbs:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}

Flags of every verb:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

Examples:
{{.Example}}

` + exitCodes + `
`

// noArguments is for verbs that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but %.40q is given", cmd.Name(), args[0])
	}
	return nil
}

// files checks the FILE arguments of a verb.
func files(atLeast, atMost int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < atLeast:
			return errors.New("no FILE given (- reads standard input)")
		case atMost >= 0 && len(args) > atMost:
			return fmt.Errorf("%d files given, want %d", len(args), atMost)
		}
		stdin := 0
		for _, a := range args {
			if a == "-" {
				stdin++
			}
		}
		if stdin > 1 {
			return errors.New("standard input can be read once, - is given more than once")
		}
		return nil
	}
}
