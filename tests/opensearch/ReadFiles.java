import java.nio.file.Path;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.DocValuesType;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.IndexableField;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.SortedSetDocValues;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.NIOFSDirectory;
import org.apache.lucene.util.BytesRef;

/** Prints every text in the last commit of Lucene indexes, those of deleted rows too: stored fields, terms, doc values. */
public class ReadFiles {
    public static void main(String[] folders) throws Exception {
        for (String folder : folders) {
            try (NIOFSDirectory files = new NIOFSDirectory(Path.of(folder));
                    DirectoryReader index = DirectoryReader.open(files)) {
                for (LeafReaderContext segment : index.leaves()) {
                    print(segment.reader());
                }
            }
        }
    }

    private static void print(LeafReader segment) throws Exception {
        for (int row = 0; row < segment.maxDoc(); row++) {
            for (IndexableField field : segment.storedFields().document(row)) {
                BytesRef bytes = field.binaryValue();
                System.out.println(bytes == null ? field.stringValue() : text(bytes));
            }
        }
        for (FieldInfo field : segment.getFieldInfos()) {
            Terms terms = segment.terms(field.name);
            if (terms != null) {
                print(terms.iterator());
            }
            if (field.getDocValuesType() == DocValuesType.SORTED_SET) {
                SortedSetDocValues values = segment.getSortedSetDocValues(field.name);
                print(values.termsEnum());
            } else if (field.getDocValuesType() == DocValuesType.BINARY) {
                BinaryDocValues values = segment.getBinaryDocValues(field.name);
                while (values.nextDoc() != BinaryDocValues.NO_MORE_DOCS) {
                    System.out.println(text(values.binaryValue()));
                }
            }
        }
    }

    private static void print(TermsEnum terms) throws Exception {
        for (BytesRef term = terms.next(); term != null; term = terms.next()) {
            System.out.println(text(term));
        }
    }

    private static String text(BytesRef bytes) {
        return new String(bytes.bytes, bytes.offset, bytes.length, java.nio.charset.StandardCharsets.UTF_8);
    }
}
