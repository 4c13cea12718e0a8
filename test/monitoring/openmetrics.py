# Reads a text by the specification of OpenMetrics, and says how many metrics it has.
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
print(len(families), "metrics")
