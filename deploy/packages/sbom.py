#!/usr/bin/env python3
"""Writes what is inside a build of lbfgsd as an SPDX 2.3 document: the Swift packages that it was
compiled with, and the parts of Swift's runtime that are linked in.

    sbom.py VERSION PACKAGE-RESOLVED CHECKOUTS SWIFT-VERSION > lbfgsd.spdx.json

Versions come from Package.resolved, licences from the packages' own files in the folder CHECKOUTS.
$SOURCE_DATE_EPOCH is the document's time. A package whose licence is not recognised is an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

Package = dict[str, Any]

# Phrases of a licence's text, the more special first.
LICENCES = [
    ("Apache-2.0 WITH Swift-exception", ["Apache License", "Runtime Library Exception"]),
    ("Apache-2.0", ["Apache License", "Version 2.0"]),
    ("MIT", ["Permission is hereby granted, free of charge", "without restriction"]),
    ("BSD-3-Clause", ["Redistributions in binary form must reproduce", "endorse or promote"]),
]


def licence(folder: Path) -> str:
    """The SPDX identifier of the licence in a folder."""
    for path in sorted(folder.glob("LICEN[CS]E*")):
        text = " ".join(path.read_text(encoding="utf-8").split())
        for identifier, phrases in LICENCES:
            if all(phrase in text for phrase in phrases):
                return identifier
    sys.exit(f"sbom.py: no licence is recognised in {folder}")


def package(name: str, version: str, terms: str, where: str, **more: Any) -> Package:
    identifier = re.sub(r"[^A-Za-z0-9.-]", "-", name)
    return {
        "SPDXID": f"SPDXRef-Package-{identifier}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": where,
        "filesAnalyzed": False,
        "licenseConcluded": terms,
        "licenseDeclared": terms,
        "copyrightText": "NOASSERTION",
        **more,
    }


def swift_packages(resolved: Path, checkouts: Path) -> list[Package]:
    found = []
    for pin in json.loads(resolved.read_text(encoding="utf-8"))["pins"]:
        location, state = pin["location"], pin["state"]
        name = location.removesuffix(".git").rsplit("/", 1)[1]
        owner = location.removesuffix(".git").split("//", 1)[1].rsplit("/", 1)[0]
        found.append(
            package(
                name,
                state["version"],
                licence(checkouts / name),
                f"git+{location}@{state['revision']}",
                externalRefs=[
                    {
                        "referenceCategory": "PACKAGE-MANAGER",
                        "referenceType": "purl",
                        "referenceLocator": f"pkg:swift/{owner}/{name}@{state['version']}",
                    }
                ],
            )
        )
    return found


def parts_within(source: Path, resolved: list[Package], swift: str) -> list[Package]:
    """What is compiled in and is no Swift package of its own."""
    exception = "Apache-2.0 WITH Swift-exception"
    names = [
        "swift",
        "swift-foundation",
        "swift-collections",
        "swift-corelibs-foundation",
        "swift-corelibs-libdispatch",
    ]
    where = "git+https://github.com/swiftlang"
    yams = next(item for item in resolved if item["name"] == "Yams")
    return [
        *(package(name, swift, exception, f"{where}/{name}") for name in names),
        package("swift-foundation-icu", swift, "Unicode-3.0", f"{where}/swift-foundation-icu"),
        package("libyaml", f"as in Yams {yams['versionInfo']}", "MIT", yams["downloadLocation"]),
        package(
            "sobol-direction-numbers",
            "new-joe-kuo-6.21201",
            licence(source / "Sources/CSobol"),
            "NOASSERTION",
        ),
    ]


def main() -> None:
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    version, resolved, checkouts, swift = sys.argv[1:]
    source = Path(__file__).resolve().parents[2]
    own = package("lbfgsd", version, licence(source), "NOASSERTION")
    inside = swift_packages(Path(resolved), Path(checkouts))
    inside += parts_within(source, inside, swift)
    relations = [
        {
            "spdxElementId": own["SPDXID"],
            "relationshipType": "STATIC_LINK",
            "relatedSpdxElement": item["SPDXID"],
        }
        for item in inside
    ]
    digest = hashlib.sha256(json.dumps([own, *inside], sort_keys=True).encode()).hexdigest()
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"lbfgsd-{version}",
        # Names the document; nothing is there.
        "documentNamespace": f"https://spdx.org/spdxdocs/lbfgsd-{version}-{digest[:32]}",
        "creationInfo": {
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
            "creators": ["Tool: lbfgsd-deploy-packages-sbom"],
        },
        "packages": [own, *inside],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": own["SPDXID"],
            },
            *relations,
        ],
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
