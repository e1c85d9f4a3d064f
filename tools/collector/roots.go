package main

import _ "sightline/tools/collector/publiccas"
