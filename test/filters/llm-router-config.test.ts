import { expect, it } from "vitest";
import { parseConfig } from "../../xds-server/config/index.ts";
import { LoadError, ProxyWasmHost } from "../host/index.ts";

/** The same configuration is judged the same by the filter in Envoy and by the xDS server in front of it. */

const model = { model: "a", route: "r" };
const verdicts: [name: string, spec: object, valid: boolean][] = [
  ["the least", { models: [model] }, true],
  [
    "everything",
    {
      paths: ["/chat/completions"],
      maxBodyBytes: 1,
      routeHeader: "x-llm-r",
      duplicateModel: "lastWins",
      models: [
        { ...model, upstreamModel: "b" },
        { model: "a*", route: "r" },
        { model: "*", route: "r" },
      ],
      onMissingModel: "reject",
      onUnknownModel: { route: "r" },
      onMalformedBody: { route: "r", upstreamModel: "m" },
      onBodyTooLarge: { route: "r" },
      onBodyUnreadable: { route: "r" },
    },
    true,
  ],
  ["no models", {}, false],
  ["an empty list of models", { models: [] }, false],
  ["1024 models", { models: Array.from({ length: 1024 }, (_, i) => ({ model: `m${i}`, route: "r" })) }, true],
  ["1025 models", { models: Array.from({ length: 1025 }, (_, i) => ({ model: `m${i}`, route: "r" })) }, false],
  ["a model without a name", { models: [{ route: "r" }] }, false],
  ["an empty name", { models: [{ model: "", route: "r" }] }, false],
  ["a name of 256 bytes", { models: [{ model: "é".repeat(128), route: "r" }] }, true],
  ["a name of 257 bytes", { models: [{ model: `${"é".repeat(128)}a`, route: "r" }] }, false],
  ["a star inside", { models: [{ model: "a*b", route: "r" }] }, false],
  ["two stars", { models: [{ model: "a**", route: "r" }] }, false],
  ["a name twice", { models: [model, model] }, false],
  [
    "a prefix twice",
    {
      models: [
        { model: "a*", route: "r" },
        { model: "a*", route: "s" },
      ],
    },
    false,
  ],
  [
    "* twice",
    {
      models: [
        { model: "*", route: "r" },
        { model: "*", route: "s" },
      ],
    },
    false,
  ],
  ["a name and the same prefix", { models: [model, { model: "a*", route: "s" }] }, true],
  ["no route", { models: [{ model: "a" }] }, false],
  ["a route with a space", { models: [{ model: "a", route: "r s" }] }, false],
  ["a route of 257 bytes", { models: [{ model: "a", route: "r".repeat(257) }] }, false],
  ["an unknown field of a model", { models: [{ ...model, weight: 1 }] }, false],
  ["an unknown field", { models: [model], model: "a" }, false],
  ["a body limit of 0", { models: [model], maxBodyBytes: 0 }, false],
  ["a body limit of 64 MiB", { models: [model], maxBodyBytes: 64 * 1024 * 1024 }, true],
  ["a body limit of one byte more", { models: [model], maxBodyBytes: 64 * 1024 * 1024 + 1 }, false],
  ["a body limit of half a byte", { models: [model], maxBodyBytes: 0.5 }, false],
  ["a body limit in quotes", { models: [model], maxBodyBytes: "10" }, false],
  ["duplicates rejected in words", { models: [model], duplicateModel: "reject" }, true],
  ["duplicates treated in another way", { models: [model], duplicateModel: "firstWins" }, false],
  ["duplicates allowed by true", { models: [model], duplicateModel: true }, false],
  ["no paths", { models: [model], paths: [] }, false],
  ["33 paths", { models: [model], paths: Array.from({ length: 33 }, (_, i) => `/${i}`) }, false],
  ["a path without a slash", { models: [model], paths: ["chat"] }, false],
  ["a path with a space", { models: [model], paths: ["/a b"] }, false],
  ["a foreign route header", { models: [model], routeHeader: "x-route" }, false],
  ["only the prefix as route header", { models: [model], routeHeader: "x-llm-" }, false],
  ["an upper-case route header", { models: [model], routeHeader: "x-llm-Route" }, false],
  ["a route header of 65 bytes", { models: [model], routeHeader: `x-llm-${"r".repeat(59)}` }, false],
  ["the model's header as route header", { models: [model], routeHeader: "x-llm-model" }, false],
  ["a default without a route", { models: [model], onUnknownModel: {} }, false],
  ["a default of another word", { models: [model], onUnknownModel: "accept" }, false],
  ["a default with an unknown field", { models: [model], onUnknownModel: { route: "r", model: "m" } }, false],
];

it.each(verdicts)("%s", async (_name, spec, valid) => {
  const host = await ProxyWasmHost.load("build/filters/llm-router.wasm", { workers: 1 });
  let accepted = true;
  try {
    host.plugin({ name: "llm-router", rootId: "llm-router", config: spec });
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
    accepted = false;
  }
  const document = { apiVersion: "tokenmesh.io/v1alpha1", kind: "LLMRouter", metadata: { name: "test" }, spec };
  const server = parseConfig([{ file: "test.yaml", text: JSON.stringify(document) }]);
  expect({ filter: accepted, server: server.ok }).toEqual({ filter: valid, server: valid });
});
