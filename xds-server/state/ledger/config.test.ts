import { describe, expect, it } from "vitest";
import { formatError } from "../../config/index.ts";
import { parseLedgerConfig } from "./config.ts";

const errors = (yaml: string) => {
  const result = parseLedgerConfig("ledger.yaml", yaml);
  return result.ok ? [] : result.errors.map(formatError);
};

describe("ledger configuration", () => {
  it("is read with its defaults", () => {
    const yaml = `
domains:
  - name: llm
    descriptors:
      - entries: [tenant, model=gpt-4*, tier=gold]
        limits:
          - {amount: 100000, per: minute}
          - {amount: 1e9, per: day, timeZone: Europe/Berlin, shadow: true}
          - {amount: 5, per: hour, rolling: true}
      - name: any
        entries: ["key=*"]
        limits: [{amount: 1, per: month, timeZone: "+05:30"}]
        overLimit: record
        override: true
        secret: [key]
        usage: false
`;
    const limit = { rolling: false, timeZone: "Z", shadow: false };
    expect(parseLedgerConfig("a.yaml", yaml)).toEqual({
      ok: true,
      config: {
        domains: [
          {
            name: "llm",
            override: false,
            descriptors: [
              {
                name: "tenant.model.tier",
                entries: [
                  { key: "tenant", value: undefined, prefix: false },
                  { key: "model", value: "gpt-4", prefix: true },
                  { key: "tier", value: "gold", prefix: false },
                ],
                limits: [
                  { ...limit, amount: 100_000, per: "minute" },
                  { ...limit, amount: 1e9, per: "day", timeZone: "Europe/Berlin", shadow: true },
                  { ...limit, amount: 5, per: "hour", rolling: true },
                ],
                overLimit: "refuse",
                override: false,
                secret: [],
                usage: true,
              },
              {
                name: "any",
                entries: [{ key: "key", value: undefined, prefix: false }],
                limits: [{ ...limit, amount: 1, per: "month", timeZone: "+05:30" }],
                overLimit: "record",
                override: true,
                secret: ["key"],
                usage: false,
              },
            ],
          },
        ],
      },
    });
  });

  it("needs no patterns, and patterns need no limits, where calls bring theirs", () => {
    const yaml = `
domains:
  - {name: tokenmesh, override: &yes true}
  - {name: alias, override: *yes, descriptors: []}
  - name: both
    override: true
    descriptors:
      - {entries: [rule=team, limit, x-team], override: true, secret: [x-team]}
      - {entries: [tenant], limits: [{amount: 1, per: day}]}
`;
    expect(parseLedgerConfig("a.yaml", yaml)).toMatchObject({
      ok: true,
      config: {
        domains: [
          { name: "tokenmesh", override: true, descriptors: [] },
          { name: "alias", override: true, descriptors: [] },
          {
            override: true,
            descriptors: [
              { name: "rule.limit.x-team", limits: [], override: true, secret: ["x-team"] },
              { override: false, limits: [{ amount: 1 }] },
            ],
          },
        ],
      },
    });
  });

  it("wants what calls do not bring", () => {
    const yaml = `domains:
  - {name: a}
  - {name: b, override: false}
  - {name: c, override: "true"}
  - {name: d, override: false, descriptors: []}
  - name: e
    override: true
    descriptors:
      - {entries: [k]}
      - {entries: [k], override: false}
      - {entries: [k], override: true, limits: []}
      - {entries: [k], override: true, limit: []}
`;
    expect(errors(yaml)).toEqual([
      expect.stringMatching(/^ledger.yaml:2:5: TM_CONFIG_MISSING_FIELD .*descriptors/),
      expect.stringMatching(/^ledger.yaml:3:5: TM_CONFIG_MISSING_FIELD .*descriptors/),
      expect.stringMatching(/^ledger.yaml:4:5: TM_CONFIG_MISSING_FIELD .*descriptors/),
      expect.stringMatching(/^ledger.yaml:4:\d+: TM_CONFIG_WRONG_TYPE .*override/),
      expect.stringMatching(/^ledger.yaml:5:\d+: TM_CONFIG_INVALID_VALUE .*descriptors.*at least 1/),
      expect.stringMatching(/^ledger.yaml:9:9: TM_CONFIG_MISSING_FIELD .*limits/),
      expect.stringMatching(/^ledger.yaml:10:9: TM_CONFIG_MISSING_FIELD .*limits/),
      expect.stringMatching(/^ledger.yaml:11:\d+: TM_CONFIG_INVALID_VALUE .*limits.*at least 1/),
      expect.stringMatching(/^ledger.yaml:12:\d+: TM_CONFIG_UNKNOWN_FIELD .*Did you mean limits/),
    ]);
  });

  it("says all that is wrong, and where", () => {
    const yaml = `domains:
  - name: llm
    descriptors:
      - entries: [tenant]
        limit: [{amount: 1, per: minute}]
      - entries: [a*b=c*d, tokenmesh.id]
        limits: [{amount: 0, per: fortnight}]
  - name: "{x}"
    descriptors:
      - entries: [k]
        limits: [{amount: 1, per: month, rolling: true}, {amount: 1, per: day, timeZone: Mars/Olympus}]
      - entries: [k]
        limits: [{amount: 1, per: day}, {amount: 2, per: day}]
      - entries: [k]
        secret: [j]
        limits: [{amount: 1, per: day}]
`;
    expect(errors(yaml)).toEqual([
      expect.stringMatching(/^ledger.yaml:4:9: TM_CONFIG_MISSING_FIELD .*limits/),
      expect.stringMatching(/^ledger.yaml:5:9: TM_CONFIG_UNKNOWN_FIELD .*Did you mean limits/),
      expect.stringMatching(/^ledger.yaml:6:19: TM_CONFIG_INVALID_VALUE .*before its end/),
      expect.stringMatching(/^ledger.yaml:6:28: TM_CONFIG_INVALID_VALUE .*tokenmesh\.id/),
      expect.stringMatching(/^ledger.yaml:7:27: TM_CONFIG_INVALID_VALUE .*0 is not/),
      expect.stringMatching(/^ledger.yaml:7:35: TM_CONFIG_INVALID_VALUE .*fortnight/),
      expect.stringMatching(/^ledger.yaml:8:11: TM_CONFIG_INVALID_VALUE .*\{x\}/),
      expect.stringMatching(/^ledger.yaml:11:18: TM_CONFIG_CONFLICT .*month cannot be rolling/),
      expect.stringMatching(/^ledger.yaml:11:\d+: TM_CONFIG_INVALID_VALUE .*Mars.*IANA/),
      expect.stringMatching(/^ledger.yaml:13:17: TM_CONFIG_DUPLICATE .*two limits per day/),
      expect.stringMatching(/^ledger.yaml:14:9: TM_CONFIG_UNKNOWN_REFERENCE .*"j"/),
    ]);
    expect(errors("")).toEqual([expect.stringMatching(/TM_CONFIG_EMPTY/)]);
    expect(errors("domains: []")).toEqual([expect.stringMatching(/TM_CONFIG_INVALID_VALUE/)]);
    const twice = "{name: a, descriptors: [{entries: [k], limits: [{amount: 1, per: day}]}]}";
    expect(errors(`domains: [${twice}, ${twice}]`)).toEqual([expect.stringMatching(/TM_CONFIG_DUPLICATE .*"a"/)]);
    expect(errors("domains: [")).toEqual([expect.stringMatching(/TM_CONFIG_SYNTAX/)]);
  });
});
