import { describe, expect, test } from "vitest";
import { parsePrometheus } from "./prometheus-text.ts";

describe("parsePrometheus", () => {
  test("families, labels with everything that is escaped, values", () => {
    const text = '# HELP a what\n# TYPE a counter\na{x="1",y="q\\"\\\\\\n"} 2\na{} 1e3\n# TYPE b gauge\nb +Inf\n';
    expect([...parsePrometheus(text)]).toEqual([
      [
        "a",
        {
          type: "counter",
          samples: [
            { name: "a", labels: { x: "1", y: 'q"\\\n' }, value: 2 },
            { name: "a", labels: {}, value: 1000 },
          ],
        },
      ],
      ["b", { type: "gauge", samples: [{ name: "b", labels: {}, value: Number.POSITIVE_INFINITY }] }],
    ]);
  });

  const histogram = (buckets: string, count: number): string =>
    `# TYPE h histogram\n${buckets}h_sum 1\nh_count ${count}\n`;

  test("a histogram", () => {
    const text = histogram('h_bucket{le="1"} 0\nh_bucket{le="2.5"} 3\nh_bucket{le="+Inf"} 3\n', 3);
    expect(parsePrometheus(text).get("h")?.samples).toHaveLength(5);
  });

  test.each([
    ["a value that is none", "# TYPE a counter\na x\n"],
    ["no value", "# TYPE a counter\na{}\n"],
    ["no TYPE line", "a 1\n"],
    ["another family's sample", "# TYPE a counter\nb 1\n"],
    ["a series twice", '# TYPE a counter\na{x="1",y="2"} 1\na{y="2",x="1"} 1\n'],
    ["a label twice", '# TYPE a counter\na{x="1",x="2"} 1\n'],
    ["an unescaped quote", '# TYPE a counter\na{x="1"2"} 1\n'],
    ["a label name that is none", '# TYPE a counter\na{x.y="1"} 1\n'],
    ["two TYPE lines", "# TYPE a counter\n# TYPE a counter\n"],
    ["no line feed at the end", "# TYPE a counter\na 1"],
    ["buckets that fall", histogram('h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\n', 1)],
    ["bounds that fall", histogram('h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\n', 1)],
    ["no last bucket", histogram('h_bucket{le="1"} 1\n', 1)],
    ["a count that is not the last bucket", histogram('h_bucket{le="+Inf"} 1\n', 2)],
  ])("refuses %s", (_, text) => expect(() => parsePrometheus(text)).toThrow());
});
