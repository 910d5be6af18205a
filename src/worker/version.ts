/** The one version number of control plane, connector and pages. */
import manifest from "../../package.json" with { type: "json" };

export const VERSION: string = manifest.version;
