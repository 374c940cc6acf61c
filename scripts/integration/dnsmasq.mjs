// A real dnsmasq for the integration run, from Debian; seconds, 1 MB.
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { unpackPackage } from "../setup/debian-package.mjs";
import { step, Trouble } from "../setup/progress.mjs";
import { dnsmasq, placeOf } from "./places.mjs";

/** @returns the program */
export async function prepare() {
  const command = placeOf(dnsmasq);
  if (!existsSync(command)) await step("dnsmasq (from Debian)", () => unpackDnsmasq(dirname(command)));
  return { command };
}

async function unpackDnsmasq(folder) {
  mkdirSync(dirname(folder), { recursive: true });
  const reason = await unpackPackage({ name: "dnsmasq-base", program: "dnsmasq", folderOf: "usr/sbin", folder });
  if (reason !== undefined) throw new Trouble(`dnsmasq cannot be had: ${reason}`);
}
