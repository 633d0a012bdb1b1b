// Copyright The mrlog Authors
// SPDX-License-Identifier: Apache-2.0

package nelr_test

import (
	"fmt"
	"log"
	"os"
	"strings"

	"mrlog.dev"
	"mrlog.dev/nelr"
)

// The example of the package documentation: what a record's digest is, and what
// the register holds after it.
func Example() {
	const text = `INIT sha384/000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
github.com/confidential-containers ImageLoad sha256/0123456789abcdef1123456789abcdef2123456789abcdef3123456789abcdef
github.com/confidential-containers EventWithJSONParams { "key1":"value1\tmore values and 'quotes'\n", "key2": [ "value2", 2, true, null ] }
`
	r := nelr.NewReader(strings.NewReader(text), nelr.Options{})
	var replay mrlog.Replay
	for rec, err := range mrlog.All(r) {
		if err != nil {
			log.Fatal(err)
		}
		if err := replay.Extend([]mrlog.Record{*rec}); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d digest %x\n", rec.Number, rec.Digests[0].Sum)
		fmt.Printf("  value  %x\n", replay.Value(rec.Register, mrlog.SHA384))
	}
	// Output:
	// 0 digest 5d97ae953f7b03a1e93f58f9d621f84d1bdf053d1ec5ad2461262a938ecd4ed4d42d3c5c42084828da1c8051a6c08e6a
	//   value  6c365f76661093e45396aa72e4b9da060ba558a71df61eda609c51ae4b47908d2d04abde885a1501689217d0a2419613
	// 1 digest 98cfd27eaba5b57ee1b9bbb2da9886ec9ebc40ef428ffd5eda1a4024039beed7d0f4b46b2e63bb419780f619add308ef
	//   value  4341d9c05831365b03bef0808ab453043694f76506204b7e104504f471af92bd6c4194b96b890112dfa7e1eb5a9007f6
	// 2 digest dfcf2f7ac9a8e19cbe4233837a1cd34a4c6517a8d6852aa8a566e1f43b39dc1f32bcb51fa4e6c7a139c844ab5c766361
	//   value  4693cf54a9c8b386c67290abfa981696fe07d985d06e7f06c6929370db90bbb647faff2bc0375d270aa2f0dd42635568
}

func ExampleEvent_AppendLine() {
	e := nelr.Event{Domain: "example.org/app", Operation: "Start", Content: "pid=1"}
	line, err := e.AppendLine(nil)
	fmt.Printf("%q %v\n", line, err)

	e.Domain = "INIT"
	_, err = e.AppendLine(nil)
	fmt.Println(err)
	// Output:
	// "example.org/app Start pid=1" <nil>
	// domain "INIT" is reserved: a domain with an upper-case letter and no lower-case one belongs to log keepers and verifiers
}

// Records of any source become a native log if they are the records of one.
func ExampleWriter() {
	r := nelr.NewReader(strings.NewReader("# not carried over\n\nINIT sha1/0000000000000000000000000000000000000000\nexample.org/app Start\n"),
		nelr.Options{Register: mrlog.Register{Space: mrlog.PCR, Index: 14}})
	w := nelr.NewWriter(os.Stdout)
	var b mrlog.Batch
	for r.Read(&b) == nil {
		if err := w.Write(b.Records); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// #: register pcr14
	// INIT sha1/0000000000000000000000000000000000000000
	// example.org/app Start
}
