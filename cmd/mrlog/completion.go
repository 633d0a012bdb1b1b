// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletion(e *env) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "print a shell's completion script",
		Long: `completion prints a script that teaches a shell (bash, zsh, fish, powershell)
the verbs, flags and values of mrlog.`,
		Example: `  mrlog completion bash > /etc/bash_completion.d/mrlog
  source <(mrlog completion zsh)`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return fmt.Errorf("%d shells given, want one of %s", len(args), strings.Join(shells, ", "))
			case !slices.Contains(shells, args[0]):
				return fmt.Errorf("unknown shell %.40q (known: %s)", args[0], strings.Join(shells, ", "))
			}
			return nil
		},
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(e.stdout, true)
			case "zsh":
				return root.GenZshCompletion(e.stdout)
			case "fish":
				return root.GenFishCompletion(e.stdout, true)
			default:
				return root.GenPowerShellCompletionWithDesc(e.stdout)
			}
		},
	}
}
