"""Reports: line charts, matrices, and pages of text, tables and figures in Markdown and HTML."""

from mer_data.reports.charts.lines import line_chart
from mer_data.reports.charts.matrices import Matrix, matrix_chart
from mer_data.reports.page import Figure, Report, Section, Table

__all__ = ["Figure", "Matrix", "Report", "Section", "Table", "line_chart", "matrix_chart"]
