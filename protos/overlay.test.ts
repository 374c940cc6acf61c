import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { OVERLAY_SOURCE_VERSION, OVERLAYS } from "./overlay.ts";
import { messageType } from "./root.ts";
import { findProtoFile } from "./source-files.ts";

/**
 * Freshness: the generated Go structs carry each field's number and name in a struct tag
 * (`protobuf:"varint,7,opt,name=failure_policy,..."`), so the module's source is enough; nothing is compiled.
 */
const GO_MODULE = "github.com/envoyproxy/go-control-plane/envoy";
const hasGo = spawnSync("go", ["version"]).status === 0;
if (!hasGo)
  console.log("skipped: `go` is not installed, so the overlay's field numbers cannot be compared with the Go module");

function moduleDir(): string {
  const cwd = mkdtempSync(join(tmpdir(), "tokenmesh-overlay-"));
  try {
    const args = ["mod", "download", "-json", `${GO_MODULE}@${OVERLAY_SOURCE_VERSION}`];
    const info: unknown = JSON.parse(execFileSync("go", args, { cwd, encoding: "utf8", timeout: 60_000 }));
    if (typeof info !== "object" || info === null || !("Dir" in info)) throw new Error("go mod download gave no Dir");
    return String(info.Dir);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** Go name of a message relative to its package: nested messages are joined by `_`. */
function goName(message: string): string {
  return message.replace(/^.*\.v\d+\./, "").replaceAll(".", "_");
}

function goSource(dir: string, protoFile: string): string {
  return readFileSync(join(dir, protoFile.replace(/^envoy\//, "").replace(/\.proto$/, ".pb.go")), "utf8");
}

/** The body of `type X struct {...}` in generated code. */
function structBody(source: string, name: string): string {
  const body = new RegExp(`^type ${name} struct \\{\\n([\\s\\S]*?)^\\}`, "m").exec(source)?.[1];
  if (body === undefined) throw new Error(`no struct ${name}`);
  return body;
}

describe.skipIf(!hasGo)("overlay numbers against the Go module", () => {
  const dir = hasGo ? moduleDir() : "";

  for (const overlay of OVERLAYS) {
    for (const { message, fields } of overlay.messages) {
      it.each(fields.map((field) => [field.name, field] as const))(`${message}.%s`, (_name, field) => {
        const body = structBody(goSource(dir, overlay.file), goName(message));
        const line = body.split("\n").find((text) => text.includes(`,name=${field.name},`));
        const tag = /^\s*\S+\s+(\S+)\s+`protobuf:"(\w+),(\d+),(\w+),/.exec(line ?? "");
        expect(tag, `no field ${field.name} in the Go struct`).not.toBeNull();
        expect(Number(tag?.[3])).toBe(field.number);
        expect(tag?.[4]).toBe(field.repeated ? "rep" : "opt");
        expect(tag?.[1]).toContain(
          goName(field.type)
            .replace("google_protobuf_", "")
            .replace(/^string$/, "string"),
        );
      });
    }
    for (const { enum: name, values } of overlay.enums) {
      it(`${name} values`, () => {
        const source = goSource(dir, overlay.file);
        const found = [
          ...source.matchAll(new RegExp(`^\\s*${goName(name)}_(\\w+)\\s+${goName(name)} = (\\d+)$`, "gm")),
        ];
        expect(Object.fromEntries(found.map((match) => [match[1], Number(match[2])]))).toEqual(values);
      });
    }
  }
});

describe("overlay and the npm package", () => {
  it("holds nothing the npm package has meanwhile", () => {
    for (const overlay of OVERLAYS) {
      const path = findProtoFile(overlay.file);
      if (path === undefined) continue;
      const text = readFileSync(path, "utf8");
      for (const { fields, isNew } of overlay.messages) {
        if (isNew) continue;
        for (const { name } of fields) expect(text, `remove ${name} from overlay.ts`).not.toContain(` ${name} =`);
      }
    }
    expect(dirname(findProtoFile("envoy/extensions/wasm/v3/wasm.proto") ?? "")).toContain("grpc-js-xds");
  });

  it("is part of the loaded types", () => {
    const fields = messageType("envoy.extensions.wasm.v3.PluginConfig").fields;
    expect(fields.allow_on_headers_stop_iteration?.id).toBe(9);
    const override = messageType("envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost");
    expect(Object.keys(override.fields)).toHaveLength(3);
  });
});
