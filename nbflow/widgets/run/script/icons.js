/** The sign of a status. */

import { set } from "./elements.js";
import { mark } from "./statuses.js";

export function icon(status = "queued") {
	const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
	set(svg, { viewBox: "0 0 16 16", "aria-hidden": true, class: "nbf-icon" });
	svg.append(path);
	return setIcon(svg, status);
}

export function setIcon(svg, status) {
	const [, tone, path] = mark(status);
	set(svg.firstChild, { d: path });
	set(svg, { "data-tone": tone, "data-status": status });
	return svg;
}
