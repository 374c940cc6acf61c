/**
 * Where the `.proto` sources come from: the folders bundled in the npm package `@grpc/grpc-js-xds` (Envoy, xDS, googleapis,
 * protoc-gen-validate) and, for `descriptor.proto`, `protobufjs` itself. Nothing is copied into this repository, so an update of the npm
 * package is an update of the protos.
 */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** `@grpc/grpc-js-xds` exports its main file only; the package root is the first ancestor that holds `deps`. */
function xdsPackageRoot(): string {
  let dir = dirname(require.resolve("@grpc/grpc-js-xds"));
  while (!existsSync(join(dir, "deps", "envoy-api"))) {
    const parent = dirname(dir);
    if (parent === dir) {
      throw new Error("@grpc/grpc-js-xds has no deps/envoy-api folder; reinstall with: npm ci");
    }
    dir = parent;
  }
  return dir;
}

let searchPath: readonly string[] | undefined;

/** The import roots, in the order in which `import "x/y.proto"` is looked up. */
function protoSearchPath(): readonly string[] {
  if (searchPath === undefined) {
    const deps = join(xdsPackageRoot(), "deps");
    searchPath = [
      ...["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => join(deps, name)),
      dirname(require.resolve("protobufjs/package.json")),
    ];
  }
  return searchPath;
}

/** Absolute path of an import such as `envoy/config/cluster/v3/cluster.proto`, or undefined when no root has it. */
export function findProtoFile(importPath: string): string | undefined {
  for (const dir of protoSearchPath()) {
    const path = join(dir, importPath);
    if (existsSync(path)) return path;
  }
  return undefined;
}

/** Imports of all files of a folder such as `envoy/config/cluster/v3`; empty when there is none. */
export function protoFilesIn(folder: string): readonly string[] {
  const names = protoSearchPath().flatMap((dir) => {
    const path = join(dir, folder);
    return existsSync(path) ? readdirSync(path).filter((name) => name.endsWith(".proto")) : [];
  });
  return names.map((name) => `${folder}/${name}`);
}
