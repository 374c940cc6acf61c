// Where real servers for the integration run are built: once, in a folder that outlives the run and is not part of the repository.
// test/fixtures/integration-parts.ts reads the same places.
import { join } from "node:path";
import { root } from "../lib/stamp.mjs";

/** TOKENMESH_CACHE moves it, for a machine that keeps one for several clones. */
export const cacheFolder = () => join(process.env.TOKENMESH_CACHE || join(root, ".cache"), "integration");

export const consul = { folder: "consul-1.21.0", program: "consul" };
export const eureka = { folder: "eureka-5.0.1", program: "eureka-server.jar" };
export const kubernetes = { folder: "kubernetes-1.36.3", program: "kube-apiserver" };
export const dnsmasq = { folder: "dnsmasq", program: "dnsmasq" };
export const etcd = { folder: "etcd", program: "etcd" };

export const placeOf = ({ folder, program }) => join(cacheFolder(), folder, program);
