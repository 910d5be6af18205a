/** Content codings where browser, relay and gateway share one machine. */

/**
 * The coding that the local runtime answers a browser in, whatever comes from behind it: asked for another one, it unpacks and packs every body
 * anew (Miniflare's entry Worker). Cloudflare hands on what it gets.
 *
 * @param accepted the browser's own Accept-Encoding (RFC 9110 §12.5.3)
 * @returns the first of its best liked that the runtime knows, `identity` where it likes none
 */
export function localCoding(accepted: string): "br" | "gzip" | "identity" {
  const liked = accepted
    .toLowerCase()
    .split(",")
    .map((part) => {
      const [coding = "", ...parameters] = part.split(";").map((each) => each.trim());
      const weight = parameters.find((each) => each.startsWith("q="))?.slice(2);
      return { coding, weight: weight === undefined ? 1 : Number(weight) };
    })
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight);
  for (const { coding } of liked) if (coding === "br" || coding === "gzip" || coding === "identity") return coding;
  return "identity";
}
